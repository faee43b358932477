"""Scores against the imbalance factor."""
