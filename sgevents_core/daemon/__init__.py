"""The daemon's process: assembled from the other rooms, started, reloaded and stopped in order.

Commands use it to run the daemon.
"""
