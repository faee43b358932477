"""Which epoch is kept, and what its steps were."""

import random

import pytest
import torch
from torch import nn

from lmd_bench.core.errors import DivergedError
from lmd_bench.core.schema import Progress, no_report
from lmd_bench.methods.best_epoch import (
    BestOnVal,
    KeptState,
    first_judged,
    full_objective_share,
)

LABELS = torch.tensor([0, 1])
RIGHT = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
WRONG = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # half of the classes


def kept(logits: list[torch.Tensor], first: int = 1) -> tuple[BestOnVal, nn.Linear]:
    """Return what is kept of epochs with these val logits; the head's weight is the epoch."""
    head = nn.Linear(1, 2)
    best = BestOnVal("representation", len(logits), LABELS, no_report, first)
    for epoch, scores in enumerate(logits, start=1):
        with torch.no_grad():
            head.weight.fill_(float(epoch))
        best.update(epoch, 0.5, scores, head)
    best.restore(head)
    return best, head


def test_of_equal_epochs_the_later_one_is_kept_and_restored():
    best, head = kept([WRONG, RIGHT, RIGHT, WRONG])
    assert (best.best_epoch, best.best_value) == (3, 1.0)
    assert head.weight.flatten().tolist() == [3.0, 3.0]
    assert [point.val_balanced_accuracy for point in best.curve] == [0.5, 1.0, 1.0, 0.5]


def test_the_first_epoch_that_is_judged_has_a_step_under_the_full_objective():
    rng = random.Random(0)
    for _ in range(2000):
        share, n_epochs, n_steps = rng.random(), rng.randint(2, 40), rng.randint(1, 30)
        first = first_judged(share, n_epochs, n_steps)
        begun = [step / (n_epochs * n_steps) >= share for step in range(n_epochs * n_steps)]
        assert any(begun[: first * n_steps]) or first == n_epochs
        assert not any(begun[: (first - 1) * n_steps])


def test_a_training_that_never_leaves_chance_keeps_its_last_epoch():
    assert kept([WRONG] * 10)[0].best_epoch == 10


def test_an_epoch_before_the_first_allowed_is_not_kept_however_good():
    best, head = kept([RIGHT, WRONG, WRONG], first=2)
    assert (best.best_epoch, best.best_value) == (3, 0.5)
    assert head.weight.flatten().tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("deferral", "n_epochs", "first"), [(0.0, 10, 1), (0.388, 10, 4), (0.8, 10, 9), (1.0, 10, 10)]
)
def test_the_first_judged_epoch_ends_after_the_deferral_point(deferral, n_epochs, first):
    assert first_judged(deferral, n_epochs) == first


def test_the_share_of_steps_under_the_full_objective():
    assert full_objective_share(0.0, 3, 10) == 1.0
    assert full_objective_share(0.4, 8, 10) == 0.5
    assert full_objective_share(0.8, 10, 10) == pytest.approx(0.2)
    assert full_objective_share(0.5, 4, 10) == 0.0


def test_the_first_epoch_may_be_kept_unless_something_else_is_said():
    head = nn.Linear(1, 2)
    best = BestOnVal("representation", 2, LABELS, no_report)
    best.update(1, 0.5, RIGHT, head)
    best.update(2, 0.5, WRONG, head)
    assert (best.best_epoch, best.best_value) == (1, 1.0)


def test_the_last_epoch_is_kept_where_that_is_asked_for():
    head = nn.Linear(1, 2)
    best = BestOnVal("calibration", 2, LABELS, no_report, keep="last")
    best.update(1, 0.5, RIGHT, head)
    best.update(2, 0.5, WRONG, head)
    assert (best.best_epoch, best.best_value) == (2, 0.5)


def test_each_epoch_is_told_as_the_curve_keeps_it():
    told: list[Progress] = []
    best = BestOnVal("calibration", 3, LABELS, told.append)
    best.update(1, 0.25, WRONG, nn.Linear(1, 2))
    best.update(2, 0.125, RIGHT, nn.Linear(1, 2))
    assert told == best.curve
    assert told == [
        Progress("calibration", 1, 3, 0.25, 0.5),
        Progress("calibration", 2, 3, 0.125, 1.0),
    ]


@pytest.mark.parametrize(
    ("loss", "logits"), [(float("nan"), RIGHT), (0.5, RIGHT * float("inf"))], ids=["loss", "logits"]
)
def test_a_divergence_says_where_it_came_and_what_the_loss_was(loss, logits):
    best = BestOnVal("calibration", 3, LABELS, no_report)
    with pytest.raises(DivergedError, match=rf"calibration epoch 2: loss {loss:.4g} is not usable"):
        best.update(2, loss, logits, nn.Linear(1, 2))
    assert best.curve == []


def test_a_kept_state_starts_with_nothing_and_goes_back_into_as_many_modules_as_it_came_of():
    state, modules = KeptState(), [nn.Linear(1, 2), nn.Linear(1, 2)]
    assert state.epoch == 0
    with pytest.raises(ValueError, match="argument"):
        state.restore(modules[0])
    state.offer(1, -1.0, *modules)
    assert state.epoch == 1
    with pytest.raises(ValueError, match="argument"):
        state.restore(modules[0])
