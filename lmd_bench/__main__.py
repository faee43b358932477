"""Runs the command line: `python -m lmd_bench`."""

from lmd_bench.cli import main

if __name__ == "__main__":
    main()
