"""Plugins of the classic `shotgunEventDaemon`: files in folders, loaded and called as they expect.

Whoever loads plugins finds them here; once loaded, they are plugins like all others.
"""
