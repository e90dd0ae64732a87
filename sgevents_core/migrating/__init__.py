"""Moving over from the classic daemon: its configuration, its positions and its plugin files.

Only the command `sgevents migrate` uses it. Nothing in this room executes a plugin.
"""
