from lmd_bench.leaderboard.render import render
from lmd_bench.leaderboard.tables import Leaderboard, build, load

__all__ = ["Leaderboard", "build", "load", "render"]
