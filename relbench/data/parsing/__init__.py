"""Readers of the formats that lists of images come in."""
