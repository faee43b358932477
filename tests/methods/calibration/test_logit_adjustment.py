"""Post-hoc logit adjustment: the rule by hand, its limits, tau from val."""

import torch

from lmd_bench.methods.calibration import logit_adjustment as la
from lmd_bench.stats.metrics import balanced_accuracy
from tests import tiny

PRIOR = torch.tensor([0.9, 0.1])


def test_a_rare_class_gains_tau_times_the_log_prior_ratio():
    adjusted = la.adjusted_logits(torch.tensor([[1.0, 0.0]]), PRIOR.log(), tau=1.0)
    gain = (adjusted[0, 1] - adjusted[0, 0]) - (0.0 - 1.0)
    assert torch.isclose(gain, torch.tensor(9.0).log())


def test_tau_zero_and_a_uniform_prior_change_no_decision():
    logits = torch.randn(20, 2)
    assert torch.equal(la.adjusted_logits(logits, PRIOR.log(), 0.0), logits)
    uniform = la.adjusted_logits(logits, torch.tensor([0.5, 0.5]).log(), 2.0)
    assert torch.equal(uniform.argmax(1), logits.argmax(1))


def test_tau_is_the_best_of_the_grid_on_val_and_of_equals_the_nearest_to_one():
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.0]])  # the second is of class 1
    labels = torch.tensor([0, 1])
    grid = torch.tensor([0.0, 0.5, 0.75, 1.0])
    # class 1 wins the second image from tau log 9 > 1, the first from tau log 9 > 2
    assert la.best_tau(logits, labels, PRIOR.log(), grid) == 0.75
    anything = torch.tensor([[9.0, 0.0]])
    assert la.best_tau(anything, torch.tensor([0]), PRIOR.log(), grid) == 1.0


def test_the_bias_of_the_head_takes_up_the_adjustment():
    stage1 = tiny.stage1()
    head = stage1.model.head
    val_features = stage1.features[1]
    result = la.LogitAdjustment(la.Config()).fit(stage1)
    labels = stage1.val_set.labels.numpy()
    with torch.no_grad():
        before = balanced_accuracy(labels, head(val_features).numpy())
        after = balanced_accuracy(labels, result.model.head(val_features).numpy())
    assert torch.equal(result.model.head.weight, head.weight)
    assert after >= before
