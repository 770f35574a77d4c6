"""Ranks: the processes that share each step of a run."""

from relbench.ranks.launch import launched
from relbench.ranks.ranks import ALONE, Ranks

__all__ = ["ALONE", "Ranks", "launched"]
