"""Trackers, a file each; its name is that of the tracker."""

from lmd_bench.tracking.trackers._base import Tracker

__all__ = ["Tracker"]
