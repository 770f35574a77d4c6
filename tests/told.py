"""Trackers of tests: each calls a function with the number of steps that are done."""

from relbench.trackers import Silent


class Steps(Silent):
    def __init__(self, on_step):
        self.step = on_step
