"""Stage 1: one file per method that trains an encoder and the head that comes with it."""

from lmd_bench.methods.representation._base import Representation, Targets
from lmd_bench.methods.representation._criterion import Criterion

__all__ = ["Criterion", "Representation", "Targets"]
