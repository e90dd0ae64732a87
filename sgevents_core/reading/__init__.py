"""The views for people: a whole state, one event, one plugin. Only reads, and prints nothing.

Used by commands, and by anything else that shows a state.
"""
