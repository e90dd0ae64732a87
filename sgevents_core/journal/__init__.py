"""The state: the events seen, how far every plugin is, what failed, and what people asked for.

The feed appends, lanes record, and everyone else reads; SQL lives here.
"""
