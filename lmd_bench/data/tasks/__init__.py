"""From a table of images to train, val and test: long-tail profiles, protocols, tasks."""
