"""Plugins: found by their metadata, ordered, loaded when enabled, their callbacks registered."""
