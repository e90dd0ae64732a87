"""Lanes: which callbacks an event calls, in which order and thread, and how a plugin falls behind.

The daemon puts lanes together here and runs them; requests work in a lane's own thread.
"""
