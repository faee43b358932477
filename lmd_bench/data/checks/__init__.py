"""What may be wrong with a data set or a split: one check per file, and a report of all."""
