"""Every stage-1 method does what the contract asks; what the package asks of its own besides."""

import pytest
import torch
import yaml
from optuna.distributions import CategoricalDistribution

from lmd_bench.contract import representation, stage
from lmd_bench.core import paths, plugins
from lmd_bench.core.outside import STAGES
from lmd_bench.data.views import make_view
from lmd_bench.methods.representation._base import Targets
from lmd_bench.methods.settings import section_defaults
from lmd_bench.methods.space import search_space
from tests import tiny

NAMES = plugins.names("representation")


@pytest.mark.usefixtures("narrow_resnets")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", representation.CHECKS, ids=lambda check: check.__name__)
def test_every_stage_1_keeps_the_contract(check, name: str):
    check(name)


@pytest.mark.parametrize("kind", STAGES)
@pytest.mark.parametrize("check", stage.CHECKS, ids=lambda check: check.__name__)
def test_every_stage_has_a_card_and_settings_in_their_ranges(check, kind):
    for name in plugins.names(kind):
        check(kind, name)


def test_every_card_of_stage_1_names_the_code_that_it_was_compared_with():
    for name in set(NAMES) - {"cross_entropy"}:
        assert "Compared with https://github.com/" in plugins.card("representation", name), name


def test_the_ranges_of_training_name_its_settings_and_hold_the_defaults():
    defaults = section_defaults("training")
    ranges = yaml.safe_load((paths.search_spaces() / "training.yaml").read_text())
    assert {f"training.{name}" for name in ranges} == set(defaults)
    for key, distribution in search_space(["training"]).items():
        value = defaults[key]
        if isinstance(distribution, CategoricalDistribution):
            assert value in distribution.choices, key
        else:
            assert distribution._contains(value), key


# What each of these draws: projections, noise, spared classes, prototypes. Views, mixtures and
# second images are drawn by the feed, and first weights by the model.
DRAWING = {"bcl", "equalization", "gcl", "paco", "proco_medical", "supcon"}


def first_loss(name: str, seed: int) -> float:
    train_set, _ = tiny.sets()
    method = tiny.method(name, torch.tensor([2400, 120, 3]), n_steps=1, seed=seed)
    views = [make_view("weak", train_set.pixels[::3], n) for n in range(len(method.views))]
    labels = train_set.labels[::3]
    return float(method.loss(views, Targets(labels, second=Targets(labels)), step=0).detach())


@pytest.mark.parametrize("name", NAMES)
def test_two_seeds_differ_in_all_that_a_method_draws_and_in_nothing_else(name: str):
    assert first_loss(name, 0) == first_loss(name, 0)
    assert (first_loss(name, 0) != first_loss(name, 1)) == (name in DRAWING)
    matrices = [
        [p for p in tiny.method(name, torch.tensor(tiny.COUNTS), 1, seed).extra.parameters()]
        for seed in (0, 1)
    ]
    for one, other in zip(*matrices, strict=True):
        assert one.dim() < 2 or not torch.equal(one, other)
