"""Benchmarks of the promised speed and memory, each against the plain implementation in the same run."""
