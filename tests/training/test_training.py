"""The epoch loop, its batches, and the rule that keeps the best epoch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmd_bench.core import plugins
from lmd_bench.core.errors import DivergedError
from lmd_bench.core.schema import Progress, no_report
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import ImageSet, epoch_batches, steps_per_epoch
from lmd_bench.methods import best_epoch
from lmd_bench.methods.best_epoch import BestOnVal
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.model import predict
from lmd_bench.methods.representation._base import Targets
from lmd_bench.methods.representation.cross_entropy import Config, CrossEntropy
from lmd_bench.training import loop
from lmd_bench.training.feed import Feed
from lmd_bench.training.loop import lr_factor, make_optimiser, train
from tests import tiny


def test_an_epoch_visits_images_once_in_full_batches():
    batches = list(epoch_batches(torch.zeros(10, dtype=torch.long), 4, seed=0))
    assert [len(batch) for batch in batches] == [4, 4]
    assert len(set(torch.cat(batches).tolist())) == 8
    assert steps_per_epoch(10, 4) == 2
    assert steps_per_epoch(3, 4) == 1


def test_the_order_of_an_epoch_repeats_with_its_seed_and_changes_with_another():
    labels = torch.zeros(64, dtype=torch.long)
    first, again, other = (torch.cat(list(epoch_batches(labels, 8, s))) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("loss", "logit"), [(float("nan"), 0.0), (1.0, float("inf"))])
def test_a_loss_or_logit_that_is_not_finite_is_a_divergence(loss: float, logit: float):
    best = BestOnVal("representation", 1, torch.tensor([0, 1]), no_report)
    with pytest.raises(DivergedError, match="representation epoch 1"):
        best.update(1, loss, torch.full((2, 2), logit), nn.Linear(1, 2))


def test_training_learns_a_problem_it_can_learn():
    train_set = tiny.image_set((32, 32, 32), seed=0)
    val_set = tiny.image_set((8, 8, 8), seed=1)
    network = tiny.model()
    config = TrainingConfig(batch_size=16, lr=0.02, augmentation="weak")
    counts = torch.bincount(train_set.labels)
    method = CrossEntropy(Config(), network, counts, n_steps=24, seed=0)
    fitted = train(method, train_set, val_set, config, 4, 0, no_report)
    logits = predict(network, val_set)[1]
    assert fitted.best_epoch >= 1
    assert fitted.encoder.epoch == 4
    assert fitted.encoder.score > 0.9
    assert (logits.argmax(1) == val_set.labels).float().mean() > 0.9


def test_prediction_in_batches_is_prediction_at_once(monkeypatch: pytest.MonkeyPatch):
    images = tiny.image_set((5, 4), seed=0)
    network = tiny.model().train()
    whole = predict(network, images)[1]
    monkeypatch.setattr("lmd_bench.methods.models.model.EVAL_BATCH", 4)
    assert torch.allclose(whole, predict(network, images)[1], atol=1e-5)
    assert network.training


def test_cross_entropy_is_torchs():
    network = tiny.model().eval()
    method = CrossEntropy(Config(), network, torch.tensor(tiny.COUNTS), n_steps=1, seed=0)
    images, labels = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 2, 0])
    expected = F.cross_entropy(network(images)[1], labels)
    assert torch.equal(method.loss([images], Targets(labels), 0), expected)


def test_an_image_set_is_as_long_as_its_labels():
    images = ImageSet(torch.zeros(3, 4, 4, 3, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))
    assert len(images) == 3
    assert np.asarray(images.labels).shape == (3,)


def test_the_loss_of_mixed_targets_is_the_shared_mean_of_two_losses():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    own, partners = torch.tensor([0, 1]), torch.tensor([1, 0])
    targets = Targets(own, partners, share=0.75)
    soft = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    mixed = targets.loss(lambda labels: F.cross_entropy(logits, labels))
    assert torch.allclose(mixed, F.cross_entropy(logits, soft))


@pytest.mark.parametrize("mixing", ["mixup", "cmo"])
@pytest.mark.parametrize("name", plugins.names("representation"))
def test_every_representation_trains_on_mixed_images(name: str, mixing):
    method = tiny.method(name, torch.tensor(tiny.COUNTS), n_steps=4, seed=0)
    config = TrainingConfig(batch_size=16, augmentation="randaugment", mixing=mixing)
    fitted = train(method, *tiny.sets(), config, 2, 0, no_report)
    assert all(np.isfinite(point.loss) for point in fitted.curve)


def test_a_mixing_alpha_of_nothing_is_refused():
    with pytest.raises(ValueError, match="mixing_alpha=0"):
        TrainingConfig(mixing_alpha=0.0)


def test_drawn_batches_follow_the_class_weights():
    labels = torch.tensor([0] * 900 + [1] * 100)
    weights = torch.tensor([1 / 900, 1 / 100])
    drawn = labels[torch.cat(list(epoch_batches(labels, 100, 0, weights)))]
    assert len(drawn) == 1000
    assert abs(drawn.float().mean() - 0.5) < 0.05


class _Halved(CrossEntropy):
    """Cross-entropy that says that its own effect begins at half of training."""

    @classmethod
    def deferral(cls, config):
        return 0.5


@pytest.mark.parametrize("keep", ["last", "probe", "best"])
def test_no_epoch_before_the_deferral_point_is_kept(monkeypatch: pytest.MonkeyPatch, keep):
    """The scores of the head and of the probe fall with every epoch: the first allowed is best."""
    scores = iter(range(100, 0, -1))
    monkeypatch.setattr(best_epoch, "balanced_accuracy", lambda labels, logits: next(scores) / 100)
    monkeypatch.setattr(loop, "probe_balanced_accuracy", lambda *args: next(scores) / 100)
    config = TrainingConfig(batch_size=16, augmentation="weak", keep=keep, stem="imagenet")
    method = _Halved(Config(), tiny.model(), torch.tensor(tiny.COUNTS), n_steps=4, seed=0)
    fitted = train(method, *tiny.sets(), config, 4, 0, no_report)
    assert fitted.best_epoch == 3
    assert fitted.encoder.epoch == (4 if keep == "last" else 3)


def test_the_encoder_of_a_calibration_is_the_last_one_and_the_own_head_the_best_on_val():
    network = tiny.model()
    method = CrossEntropy(Config(), network, torch.tensor(tiny.COUNTS), n_steps=8, seed=0)
    config = TrainingConfig(batch_size=16, lr=0.05, augmentation="weak")
    fitted = train(method, *tiny.sets(), config, 4, 0, no_report)
    own = {name: value.clone() for name, value in network.state_dict().items()}
    values = [point.val_balanced_accuracy for point in fitted.curve]
    assert fitted.best_epoch == 4 - int(np.argmax(values[::-1]))
    fitted.encoder.restore(network)
    moved = any(not torch.equal(own[name], value) for name, value in network.state_dict().items())
    assert moved == (fitted.best_epoch != 4)


def test_the_learning_rate_rises_and_then_falls_by_half_a_cosine():
    config = TrainingConfig(schedule="cosine")
    factors = [lr_factor(step, 10, 2.0, config) for step in range(10)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors == pytest.approx(
        factors[:2] + [0.5 * (1 + np.cos(np.pi * k / 8)) for k in range(8)]
    )
    assert lr_factor(10, 10, 2.0, config) == pytest.approx(0.0)
    constant = TrainingConfig(schedule="constant")
    assert [lr_factor(step, 10, 0.0, constant) for step in (0, 9)] == [1.0, 1.0]


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_the_optimiser_is_the_one_that_is_named(name, kind):
    config = TrainingConfig(optimiser=name, lr=0.003, weight_decay=0.02)
    optimiser = make_optimiser(tiny.model(), nn.ModuleList(), config)
    assert type(optimiser) is kind
    group = optimiser.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.003, 0.02)


def test_the_loss_of_an_epoch_is_the_mean_over_its_steps():
    """With lr so low that nothing moves, it is the mean loss of the batches at the start."""
    network = tiny.model().train()
    train_set, val_set = tiny.sets()
    config = TrainingConfig(batch_size=16, lr=1e-12, weight_decay=0.0, augmentation="weak")
    method = CrossEntropy(Config(), network, torch.tensor(tiny.COUNTS), n_steps=2, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fitted = train(method, train_set, val_set, config, 1, 0, no_report)
    network.load_state_dict(before)
    network.train()
    feed = Feed(method, train_set, config, 0)
    order = epoch_batches(train_set.labels, 16, derive_seed(0, "order", 0))
    losses = [method.loss(*feed.batch(indices, n), n).item() for n, indices in enumerate(order)]
    assert len(losses) > 1
    assert fitted.curve[0].loss == pytest.approx(np.mean(losses), rel=1e-4)


def test_each_epoch_is_told_with_its_stage_and_its_place_in_the_training():
    told: list[Progress] = []
    config = TrainingConfig(batch_size=16, augmentation="weak")
    method = CrossEntropy(Config(), tiny.model(), torch.tensor(tiny.COUNTS), n_steps=4, seed=0)
    fitted = train(method, *tiny.sets(), config, 2, 0, told.append)
    assert [(p.stage, p.epoch, p.n_epochs) for p in told] == [
        ("representation", 1, 2),
        ("representation", 2, 2),
    ]
    assert fitted.curve == tuple(told)


class _DrawsTheRarest(CrossEntropy):
    """Asks for images of the rarest class alone, and keeps what it was asked and given."""

    def prepare(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.seen: set[int] = set()

    def draw_weights(self, epoch, n_epochs):
        self.asked.append((epoch, n_epochs))
        return torch.tensor([0.0, 0.0, 1.0])

    def loss(self, views, targets, step):
        self.seen |= set(targets.labels.tolist())
        return super().loss(views, targets, step)


@pytest.mark.parametrize("n_epochs", [1, 2, 3])
def test_images_are_drawn_by_the_weights_of_the_epoch(n_epochs: int):
    config = TrainingConfig(batch_size=32, augmentation="weak")
    counts = torch.tensor(tiny.COUNTS)
    method = _DrawsTheRarest(Config(), tiny.model(), counts, n_steps=n_epochs, seed=0)
    train(method, *tiny.sets(), config, n_epochs, 0, no_report)
    assert method.asked == [(epoch, n_epochs) for epoch in range(1, n_epochs + 1)]
    assert method.seen == {2}


def test_the_deferral_is_asked_of_the_method_with_its_own_config():
    asked: list[object] = []

    class Asks(CrossEntropy):
        @classmethod
        def deferral(cls, config):
            asked.append(config)
            return 0.0

    config = TrainingConfig(batch_size=32, augmentation="weak")
    method = Asks(Config(), tiny.model(), torch.tensor(tiny.COUNTS), n_steps=1, seed=0)
    train(method, *tiny.sets(), config, 1, 0, no_report)
    assert asked == [method.config]


def test_an_encoder_kept_at_the_best_epoch_is_the_model_that_is_left():
    network = tiny.model()
    config = TrainingConfig(batch_size=32, augmentation="weak", keep="best")
    method = CrossEntropy(Config(), network, torch.tensor(tiny.COUNTS), n_steps=2, seed=0)
    fitted = train(method, *tiny.sets(), config, 2, 0, no_report)
    other = tiny.model(seed=1)
    fitted.encoder.restore(other)
    expected = network.state_dict()
    assert all(torch.equal(v, expected[name]) for name, v in other.state_dict().items())
