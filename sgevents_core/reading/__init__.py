"""What people are shown: a whole state, one event, one plugin. Reads only, and prints nothing.

Commands come in here, and whatever else shows a state.
"""
