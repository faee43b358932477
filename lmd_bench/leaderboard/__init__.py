from lmd_bench.leaderboard.board import Leaderboard, build, load
from lmd_bench.leaderboard.tables import print_leaderboard, render

__all__ = ["Leaderboard", "build", "load", "print_leaderboard", "render"]
