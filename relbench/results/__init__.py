"""Results on disk: records, a run's folder with its checkpoint, a study's folder."""
