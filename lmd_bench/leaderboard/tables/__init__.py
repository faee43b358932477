"""The leaderboard as text: terminal, Markdown, LaTeX, CSV, JSON."""
