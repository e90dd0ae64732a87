"""Worker processes: a lane's callbacks in children of the daemon, each with its own interpreter.

The daemon starts them and calls through them; in a child, `child_main` is the only entry point.
"""
