"""Who hears of what happens: logs and what is kept out of them, liveness, and signals.

Every other room may come in; nothing in here knows an event log or a plugin's code.
"""
