"""Rows of a results folder in the trackers that people have: MLflow, W&B, TensorBoard."""
