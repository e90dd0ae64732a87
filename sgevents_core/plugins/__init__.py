"""Plugins: found by their entry points, loaded once enabled, and checked before they are called.

The daemon and the commands load them here; nothing in here calls one for an event.
"""
