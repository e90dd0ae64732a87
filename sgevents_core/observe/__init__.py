"""Observe the daemon: its logs, the redaction of secrets, liveness, and signals.

Every other package may import from this one, which knows neither event logs nor plugins' code.
"""
