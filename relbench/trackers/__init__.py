"""What a run tells while it goes on, and who shows it."""
