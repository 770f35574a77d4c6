"""What is kept: records, a run's folder with its checkpoint, a study's folder."""
