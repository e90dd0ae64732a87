"""What is shown to people: a whole state, one event, one plugin. It only reads and prints nothing.

Used by commands, and by anything else that shows a state.
"""
