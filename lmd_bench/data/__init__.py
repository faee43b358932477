"""From raw images to train, val and test, and to batches."""
