"""Observing the daemon: its logs, the redaction of secrets, liveness, and signals.

Every other room may import from here; nothing here knows an event log or a plugin's code.
"""
