"""The search: studies, their queue, and the Ray Tune run that works through it."""
