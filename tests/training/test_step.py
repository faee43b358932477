"""One step of the optimiser: parts of a batch, the sharpness-aware gradient, and who is told."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmd_bench.core.schema import no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.limits import in_parts
from lmd_bench.methods.models.model import predict
from lmd_bench.methods.probe import probe_balanced_accuracy
from lmd_bench.methods.representation.cross_entropy import Config, CrossEntropy
from lmd_bench.training import loop
from lmd_bench.training.loop import lr_factor, make_optimiser, probe_score, train
from tests import tiny

# 7 images a batch: they make no equal parts
LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2])


class _Linear(CrossEntropy):
    """Cross-entropy of a linear model of 2 x 2 pixels, without BatchNorm: parts add up."""

    def prepare(self) -> None:
        self.told: list[tuple[str, int]] = []

    def loss(self, views, targets, step):
        self.told.append(("loss", step))
        return F.cross_entropy(self.model(views[0])[1], targets.labels)

    def after_step(self, step: int) -> None:
        self.told.append(("after", step))


def linear(config: TrainingConfig, n_epochs: int = 1, n_micro: int = 1):
    torch.manual_seed(0)
    network = tiny.model()
    network.encoder = nn.Flatten()
    network.head = nn.Linear(12, 3)
    pixels = torch.randint(0, 256, (7, 2, 2, 3), dtype=torch.uint8)
    images = ImageSet(pixels, LABELS)
    method = _Linear(Config(), network, torch.bincount(LABELS), n_steps=n_epochs, seed=0)
    with in_parts(n_micro):
        fitted = train(method, images, images, config, n_epochs, 0, no_report)
    return method, network.head.weight.detach().clone(), fitted


PLAIN = TrainingConfig(batch_size=7, lr=0.5, schedule="constant", augmentation="weak")


def unflipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each part see the pixels as they are, so that the parts are those of one batch."""
    monkeypatch.setattr(
        "lmd_bench.training.feed.make_view",
        lambda view, pixels, seed: pixels.permute(0, 3, 1, 2).float() / 255,
    )


@pytest.mark.parametrize("n_micro", [2, 3])
def test_the_gradients_of_parts_add_up_to_that_of_the_batch(
    monkeypatch: pytest.MonkeyPatch, n_micro: int
):
    unflipped(monkeypatch)
    _, whole, at_once = linear(PLAIN)
    method, parts, in_turn = linear(PLAIN, n_micro=n_micro)
    assert [kind for kind, _ in method.told] == ["loss"] * n_micro + ["after"]
    assert torch.allclose(whole, parts, atol=1e-6)
    assert at_once.curve[0].loss == pytest.approx(in_turn.curve[0].loss, rel=1e-5)


def test_the_method_is_told_the_step_counted_over_the_whole_training():
    method, _, _ = linear(PLAIN, n_epochs=3)
    assert method.told == [(kind, step) for step in range(3) for kind in ("loss", "after")]


def test_a_sharpness_aware_step_goes_by_the_gradient_uphill(monkeypatch: pytest.MonkeyPatch):
    unflipped(monkeypatch)
    taken: list[float] = []
    inner = loop.sharpened

    def seen(parameters, rho):
        taken.append(rho)
        return inner(parameters, rho)

    monkeypatch.setattr(loop, "sharpened", seen)
    _, plain, _ = linear(PLAIN)
    assert taken == []
    config = TrainingConfig(
        batch_size=7, lr=0.5, schedule="constant", augmentation="weak", sam_rho=0.5
    )
    method, sharp, _ = linear(config)
    assert taken == [0.5]
    assert [kind for kind, _ in method.told] == ["loss", "loss", "after"]
    assert not torch.allclose(plain, sharp, atol=1e-4)


def test_the_optimisers_have_the_values_of_the_config_and_the_head_its_own_lr():
    network = tiny.model()
    for name in ("sgd", "adamw"):
        config = TrainingConfig(
            optimiser=name, lr=0.01, momentum=0.7, weight_decay=0.02, head_lr_factor=10.0
        )
        optimiser = make_optimiser(network, nn.ModuleList(), config)
        *trunk, head = optimiser.param_groups
        assert {group["lr"] for group in trunk} == {0.01}
        assert head["lr"] == pytest.approx(0.1)
        assert {id(p) for p in head["params"]} == {id(p) for p in network.head.parameters()}
        assert {group["weight_decay"] for group in optimiser.param_groups} == {0.02}
        assert optimiser.defaults["lr"] == 0.01
        if name == "sgd":
            assert {group["momentum"] for group in optimiser.param_groups} == {0.7}


def test_the_lr_of_part_steps_of_warmup_and_after_the_end():
    cosine = TrainingConfig(schedule="cosine")
    assert lr_factor(0, 10, 0.5, cosine) == 1.0
    assert lr_factor(0, 10, 1.0, cosine) == 1.0
    # past the end, and where the warm-up takes the whole training
    assert lr_factor(15, 10, 0.0, cosine) == pytest.approx(0.0)
    assert lr_factor(5, 5, 4.5, cosine) == pytest.approx(0.5)


@pytest.mark.parametrize("n_warmup", [0.5, 3.5, 11.000000000000002])
def test_a_warmup_of_part_steps_rises_to_the_full_lr_and_never_above_it(n_warmup: float):
    constant = TrainingConfig(schedule="constant")
    factors = [lr_factor(step, 20, n_warmup, constant) for step in range(20)]
    assert factors == sorted(factors)
    assert factors[math.ceil(n_warmup) - 1] == max(factors) == 1.0


def test_a_warmup_of_whole_steps_rises_by_equal_shares():
    constant = TrainingConfig(schedule="constant")
    for n_warmup in range(1, 200):
        factors = [lr_factor(step, 400, float(n_warmup), constant) for step in range(n_warmup)]
        assert factors == [(step + 1) / n_warmup for step in range(n_warmup)]


def test_the_probe_is_fitted_to_the_features_of_train_and_judged_on_those_of_val():
    network = tiny.model().eval()
    train_set, val_set = tiny.sets()
    method = CrossEntropy(Config(), network, torch.tensor(tiny.COUNTS), n_steps=1, seed=0)
    val_features = predict(network, val_set)[0]
    expected = probe_balanced_accuracy(
        predict(network, train_set)[0], train_set.labels, val_features, val_set.labels, 3
    )
    assert probe_score(method, train_set, val_set) == expected
    assert probe_score(method, train_set, val_set, val_features) == expected
    # what is handed over is what is judged
    assert probe_score(method, train_set, val_set, torch.zeros_like(val_features)) < expected
