"""Ablations: a base method, what is changed in it, and what each change does."""
