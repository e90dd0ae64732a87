"""Plugins: found by their entry points, loaded if enabled, and checked before they are called.

The daemon and the commands load them here; nothing here calls one for an event.
"""
