"""A small convolutional network with random weights. Put your own network here."""

from torch import nn

from lmd_bench.methods.models.encoders import Description, EncoderSource, Parts, Stem

_WIDTHS = (3, 32, 64, 128)


class TemplateName(EncoderSource):
    """One network: `training.backbone=template_name`."""

    @classmethod
    def describe(cls, name: str, *, pretrained: bool) -> Description:
        """Return what is known before it is built; `weights` and `licence` where it has such."""
        return Description(native_size=64, signed=False, seen="no")

    @classmethod
    def build(cls, name: str, *, pretrained: bool, image_size: int, stem: Stem) -> nn.Module:
        """Return the network without classifier: [batch, 3, size, size] to [batch, width]."""
        stages = [
            nn.Sequential(nn.Conv2d(n, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
            for n, width in zip(_WIDTHS, _WIDTHS[1:], strict=False)
        ]
        return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    @classmethod
    def take_apart(cls, network: nn.Module) -> Parts | None:
        """Return its stages, for experts, branches and penultimate features; None needs nothing."""
        *stages, pool, flat = network.children()
        return Parts(stages, nn.Sequential(pool, flat), n_penultimate=len(stages) - 1)
