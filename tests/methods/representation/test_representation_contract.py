"""Every stage-1 method: a few steps stay finite, move the model, and repeat to the bit."""

import dataclasses

import pytest
import torch
import yaml
from optuna.distributions import CategoricalDistribution

from lmd_bench.core import paths, plugins
from lmd_bench.core.schema import no_report
from lmd_bench.data.views import make_view
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.representation._base import Targets
from lmd_bench.methods.settings import section_defaults
from lmd_bench.methods.space import search_space
from lmd_bench.training.loop import train
from tests import tiny

NAMES = plugins.names("representation")


def trained(name: str, seed: int = 0):
    train_set, val_set = tiny.sets()
    method = tiny.method(name, torch.bincount(train_set.labels), n_steps=8)
    config = TrainingConfig(batch_size=8, lr=0.01)
    fitted = train(method, train_set, val_set, config, 2, seed, no_report)
    return method.model, fitted


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_are_finite_move_the_model_and_repeat(name: str):
    before = tiny.method(name, torch.tensor(tiny.COUNTS), 8).model.state_dict()
    first, fitted = trained(name)
    again, _ = trained(name)
    assert len(fitted.curve) == 2
    assert all(torch.isfinite(value).all() for value in first.state_dict().values())
    assert any(not torch.equal(before[k], v) for k, v in first.state_dict().items())
    for ours, theirs in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_a_class_of_three_images_at_imbalance_factor_500_stays_finite(name: str):
    train_set = tiny.image_set((40, 12, 3), seed=0)
    method = tiny.method(name, torch.tensor([1500, 150, 3]), n_steps=12)
    network = method.model
    config = TrainingConfig(batch_size=16, lr=0.01)
    fitted = train(method, train_set, tiny.sets()[1], config, 2, 0, no_report)
    assert all(point.loss < 1e4 for point in fitted.curve)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


@pytest.mark.parametrize("kind", ["representation", "calibration"])
def test_every_plugin_has_a_card_with_paper_and_url_and_a_version(kind: str):
    for name in plugins.names(kind):
        text = plugins.card(kind, name)
        assert "Paper: " in text, name
        assert "URL: https://" in text, name
        assert plugins.load(kind, name).VERSION >= 1


def test_every_card_of_stage_1_names_the_code_that_it_was_compared_with():
    for name in set(NAMES) - {"cross_entropy"}:
        assert "Compared with https://github.com/" in plugins.card("representation", name), name


@pytest.mark.parametrize(
    "section",
    ["training", *plugins.names("representation"), *plugins.names("calibration")],
)
def test_ranges_name_the_config_fields_and_hold_the_defaults(section: str):
    folders = [paths.search_spaces() / part for part in ("", "representation", "calibration")]
    (path,) = [f / f"{section}.yaml" for f in folders if (f / f"{section}.yaml").is_file()]
    defaults = section_defaults(section)
    named = {f"{section}.{key}" for key in yaml.safe_load(path.read_text()) or {}}
    assert named == set(defaults)
    for key, distribution in search_space([section]).items():
        value = defaults[key]
        if isinstance(distribution, CategoricalDistribution):
            assert value in distribution.choices, key
        else:
            assert distribution._contains(value), key


def test_configs_are_frozen():
    for kind in ("representation", "calibration"):
        for name in plugins.names(kind):
            config = plugins.load(kind, name).Config()
            assert dataclasses.fields(config) is not None
            assert config.__dataclass_params__.frozen


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_finite_and_has_a_gradient_in_bfloat16(name: str):
    train_set, _ = tiny.sets()
    method = tiny.method(name, torch.bincount(train_set.labels), n_steps=2)
    network = method.model.train()
    views = [make_view("weak", train_set.pixels[:12], n) for n in range(len(method.views))]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        labels = train_set.labels[:12]
        loss = method.loss(views, Targets(labels, second=Targets(labels)), step=1)
    loss.backward()
    assert torch.isfinite(loss)
    # The head's: torch's own bfloat16 convolutions on a CPU now and then leave a NaN on 1 px maps.
    gradient = network.head.get_parameter("weight").grad
    assert torch.isfinite(gradient).all()
    assert gradient.any()


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


@pytest.mark.parametrize("name", NAMES)
def test_a_method_declares_its_cost_and_when_it_may_first_be_judged(name: str):
    plugin = plugins.plugin_class("representation", name)
    assert plugin.cost > 0
    assert 0 <= plugin.deferral(plugins.load("representation", name).Config()) < 1
