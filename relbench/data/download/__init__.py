"""From a published address to a checked folder of files."""
