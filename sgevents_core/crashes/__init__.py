"""Recovery after a process died: the cause, the count of deaths, and where lanes continue.

Used by the daemon at its start and end, and by commands that take the state's lock.
"""
