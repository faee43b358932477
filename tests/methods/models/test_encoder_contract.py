"""The contract of encoders, on one of a person's own and on the small one of the package."""

import os

import pytest

from lmd_bench.contract.check import checks
from lmd_bench.core import outside, plugins
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.encoder import encoder_facts

ENCODER = """
from torch import nn

from lmd_bench.methods.models.encoders import Description, EncoderSource


class Mine(EncoderSource):
    @classmethod
    def describe(cls, name, *, pretrained):
        return Description(native_size=32, seen="no")

    @classmethod
    def build(cls, name, *, pretrained, image_size, stem):
        convolution = nn.Conv2d(3, 16, 3, stride=2)
        return nn.Sequential(convolution, nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
"""


def test_an_encoder_of_ones_own_keeps_the_contract(tmp_path):
    (tmp_path / "mine.py").write_text(ENCODER)
    (plugin,) = outside.add([tmp_path])
    assert (plugin.kind, plugin.name) == ("encoders", "mine")
    assert [check.failure() for check in checks("encoders", "mine")] == ["", "", ""]


def test_the_small_encoder_of_the_package_keeps_it_too():
    assert "efficientnet_lite0" in plugins.names("encoders")
    assert [check.failure() for check in checks("encoders", "efficientnet_lite0")] == ["", "", ""]


@pytest.mark.parametrize(
    ("old", "new", "failure"),
    [
        ("(3, 16, 3, stride=2)", "(3, 16, 3, stride=2).double()", "RuntimeError"),
        ('seen="no"', "signed=False", "features below 0, though it says signed=False"),
    ],
)
def test_an_encoder_that_breaks_it_is_told_how(tmp_path, old, new, failure):
    (tmp_path / "mine.py").write_text(ENCODER.replace(old, new))
    outside.add([tmp_path])
    assert failure in checks("encoders", "mine")[0].failure()


def test_features_of_another_file_are_other_features(tmp_path):
    weights: list[str] = []
    for folder, source in (("a", ENCODER), ("b", ENCODER + "# changed"), ("c", ENCODER)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(source)
        os.environ[outside.PLUGINS] = str(tmp_path / folder)
        weights.append(encoder_facts(TrainingConfig(backbone="mine")).weights)
    assert weights[0] == weights[2] != weights[1]
