"""Stage 2: one file per method that turns a trained encoder into the final classifier."""
