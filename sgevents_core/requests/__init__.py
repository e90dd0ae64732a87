"""What people ask for: carried out in a lane of the daemon, or by the command itself without one.

The daemon and the commands come in here; plugins do not.
"""
