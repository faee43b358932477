"""Portfolios: learned from stored search rows, and judged on a data set left out."""
