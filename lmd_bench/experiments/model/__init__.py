"""The model of a confirmed run, used: asked about images, exported, trained on all data."""
