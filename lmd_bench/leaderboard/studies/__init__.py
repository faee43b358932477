"""Rows as studies: read, grouped, selected, judged."""
