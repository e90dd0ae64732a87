"""What a dead process left behind: who ended it, how often, and where its lanes continue.

The daemon comes in at its start and end, and commands that take the state's lock.
"""
