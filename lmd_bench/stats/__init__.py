"""Metrics and statistics: pure functions of arrays."""
