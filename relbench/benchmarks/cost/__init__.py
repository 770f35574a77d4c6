"""What exact evaluation costs at sizes that can't be run here, and on which hardware."""
