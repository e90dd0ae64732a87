"""People's requests: carried out in a lane of the daemon, or by the command itself without one.

Used by the daemon and the commands, never by plugins.
"""
