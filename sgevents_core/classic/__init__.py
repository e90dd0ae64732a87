"""Plugins of the classic `shotgunEventDaemon`: files in folders, loaded and called as they expect.

They are found and loaded here; once loaded, they are plugins like any other.
"""
