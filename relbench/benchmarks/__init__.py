"""Measurements of what the project promises about speed and memory, each against the plain way, in one run."""
