"""Confirmed models on other images: those of another data set, and corrupted ones of their test."""
