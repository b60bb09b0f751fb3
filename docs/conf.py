"""How Sphinx builds these pages: `.venv/bin/sphinx-build -W docs docs/_build`."""

project = "retrograd"
author = "The retrograd authors"
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to files outside docs/; a test follows them all
