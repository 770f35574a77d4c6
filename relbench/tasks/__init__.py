"""Tasks: one file each. A task says how batches are drawn, what is trained along, and what is measured."""
