"""Stage 1: one file per method that trains an encoder and the head that comes with it."""
