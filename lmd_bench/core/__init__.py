"""What every room may use: the words, errors, seeds, paths, files."""
