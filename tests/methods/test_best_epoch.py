"""Which epoch is kept, and what its steps were."""

import pytest
import torch
from torch import nn

from lmd_bench.core.schema import no_report
from lmd_bench.methods.best_epoch import BestOnVal, first_judged, full_objective_share

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
