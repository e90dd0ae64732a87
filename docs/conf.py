"""How Sphinx builds the documentation."""

from __future__ import annotations

from sgevents_core import __version__

project = "sgevents"
author = "The sgevents authors"
copyright = author
release = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"sgevents {release}"
html_copy_source = False
