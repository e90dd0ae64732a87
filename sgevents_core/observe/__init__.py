"""Observing what happens: logs and what is kept out of them, liveness, and signals.

Every other room may import from here; nothing here knows an event log or a plugin's code.
"""
