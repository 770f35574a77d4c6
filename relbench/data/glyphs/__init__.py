"""Glyphs: data sets drawn from fonts and code, which need no download."""
