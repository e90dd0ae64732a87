"""The remains of a dead process: what ended it, how often, and where its lanes continue.

Used by the daemon at its start and end, and by commands that take the state's lock.
"""
