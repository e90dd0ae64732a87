"""Lanes: which callbacks an event calls, in which order and thread, and how plugins fall behind.

The daemon assembles and runs lanes from here; requests work in a lane's own thread.
"""
