"""Metrics from outside the package: what they subclass."""

from lmd_bench.stats.own._base import OwnMetric

__all__ = ["OwnMetric"]
