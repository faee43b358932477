from lmd_bench.leaderboard.board import Leaderboard, build, load
from lmd_bench.leaderboard.tables.render import render

__all__ = ["Leaderboard", "build", "load", "render"]
