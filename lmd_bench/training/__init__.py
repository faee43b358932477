"""One trial: both stages on one task."""
