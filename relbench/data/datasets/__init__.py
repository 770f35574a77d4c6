"""Data sets, one file each: those published, those that users add, and those that are rendered."""
