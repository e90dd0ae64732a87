"""Plugins that are worth copying; each module is one, named in `pyproject.toml`."""
