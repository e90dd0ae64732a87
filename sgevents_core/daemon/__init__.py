"""The daemon's process: assembled from the other rooms, started, reloaded and stopped in order.

Commands come in here, to run it.
"""
