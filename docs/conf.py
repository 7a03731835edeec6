"""Sphinx settings of the documentation; the pages are Markdown."""

project = "halide-kmc"
author = "The halide-kmc developers"
extensions = ["myst_parser"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]
html_theme = "alabaster"
