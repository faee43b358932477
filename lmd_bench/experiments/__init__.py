"""Questions that take more runs, or a replay of runs."""
