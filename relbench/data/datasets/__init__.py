"""Published data sets of photos: one file each."""
