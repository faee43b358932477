"""Where encoders come from: one file a source."""

from lmd_bench.methods.models.encoders._base import Description, EncoderSource, Parts, Stem

__all__ = ["Description", "EncoderSource", "Parts", "Stem"]
