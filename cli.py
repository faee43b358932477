"""Runs lmd-bench from a checkout: `python cli.py --help`."""

from lmd_bench.cli import main

if __name__ == "__main__":
    main()
