"""The results folder: one row a trial, in Parquet."""
