"""Progress of runs: each writes it into its folder, from where everybody who shows it reads."""

from relbench.trackers.tracker import FolderTracker, Silent, Tracker, clear, read

__all__ = ["FolderTracker", "Silent", "Tracker", "clear", "read"]
