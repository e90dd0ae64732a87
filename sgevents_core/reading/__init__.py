"""The views for people: a whole state, one event, one plugin. They only read, and print nothing.

Used by commands, and by anything else that shows a state.
"""
