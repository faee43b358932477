"""RRL's losses against NumPy from the formula, their limits, and the teacher."""

import numpy as np
import pytest
import torch

from lmd_bench.methods.representation import rrl
from lmd_bench.methods.representation._base import Targets
from tests import tiny


def relation_rows(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return rng.random((6, 4)), rng.random((6, 4))


def test_probability_loss_is_the_kl_divergence_from_teacher_to_student():
    rng = np.random.default_rng(1)
    s, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    p = np.exp(t) / np.exp(t).sum(1, keepdims=True)
    q = np.exp(s) / np.exp(s).sum(1, keepdims=True)
    expected = (p * (np.log(p) - np.log(q))).sum(1).mean()
    ours = rrl.probability_loss(torch.tensor(s), torch.tensor(t))
    assert float(ours) == pytest.approx(expected, rel=1e-5)


def test_probability_loss_stays_finite_on_saturated_logits():
    student = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    loss = rrl.probability_loss(student, torch.tensor([[0.0, 200.0, 0.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(200.0, rel=1e-4)
    assert torch.isfinite(student.grad).all()


def test_batch_relation_loss_follows_its_formula(features):
    s, t = features
    difference = relation_rows(s @ s.T) - relation_rows(t @ t.T)
    ours = rrl.batch_relation_loss(torch.tensor(s), torch.tensor(t))
    assert float(ours) == pytest.approx((difference**2).sum() / 6, rel=1e-6)


@pytest.mark.parametrize(("norm", "divisor"), [("channels", 4), ("batch", 6)])
def test_channel_relation_loss_is_over_channels_or_batch(features, norm, divisor):
    s, t = features
    difference = relation_rows(s.T @ s) - relation_rows(t.T @ t)
    ours = rrl.channel_relation_loss(torch.tensor(s), torch.tensor(t), norm)
    assert float(ours) == pytest.approx((difference**2).sum() / divisor, rel=1e-6)


def test_both_norms_agree_where_the_published_batch_is_as_large_as_the_width():
    s, t = torch.rand(8, 8), torch.rand(8, 8)
    by_channels = rrl.channel_relation_loss(s, t, "channels")
    assert torch.equal(by_channels, rrl.channel_relation_loss(s, t, "batch"))


@pytest.mark.parametrize("loss", [rrl.batch_relation_loss, rrl.channel_relation_loss])
def test_relation_losses_vanish_at_agreement_and_ignore_the_scale_of_features(loss, features):
    s, t = (torch.tensor(f) for f in features)
    assert float(loss(s, s)) == 0.0
    assert float(loss(3.0 * s, t)) == pytest.approx(float(loss(s, t)), rel=1e-9)


@pytest.mark.parametrize("loss", [rrl.batch_relation_loss, rrl.channel_relation_loss])
def test_relation_gradients_agree_with_finite_differences(loss, features):
    s, t = (torch.tensor(f) for f in features)
    assert torch.autograd.gradcheck(lambda x: loss(x, t), s.clone().requires_grad_())


def test_the_ramp_is_zero_before_a_hard_warmup_and_rises_in_a_sigmoid_one():
    assert rrl.ramp_weight(0.20, 0.21, "hard") == 0.0
    assert rrl.ramp_weight(0.21, 0.21, "hard") == 1.0
    assert rrl.ramp_weight(0.0, 0.4, "sigmoid") == pytest.approx(np.exp(-5))
    rising = [rrl.ramp_weight(p, 0.4, "sigmoid") for p in (0.0, 0.1, 0.2, 0.3, 0.4)]
    assert rising == sorted(rising)
    assert rising[-1] == 1.0
    assert rrl.ramp_weight(0.0, 0.0, "hard") == 1.0


def teacher_after(teacher_bn: str, steps: int = 1):
    network = tiny.model()
    config = rrl.Config(teacher_bn=teacher_bn)
    method = rrl.Rrl(config, network, torch.tensor(tiny.COUNTS), n_steps=10, seed=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    network.encoder.bn1.running_mean.fill_(7.0)
    for step in range(steps):
        method.after_step(step)
    return network, method.teacher


def test_the_first_update_copies_the_student_into_the_teacher():
    network, teacher = teacher_after("batch")
    for ours, theirs in zip(network.parameters(), teacher.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_ema_alpha_is_a_running_mean_until_the_decay_binds():
    assert [rrl.ema_alpha(step, 0.999) for step in (0, 1, 3)] == [0.0, 0.5, 0.75]
    assert rrl.ema_alpha(5000, 0.999) == 0.999


def test_teacher_batch_norm_follows_its_switch():
    _, batch = teacher_after("batch")
    assert batch.training
    assert float(batch.encoder.bn1.running_mean[0]) == 0.0
    for switch in ("ema", "copy"):
        _, teacher = teacher_after(switch)
        assert not teacher.training
        assert float(teacher.encoder.bn1.running_mean[0]) == 7.0


def test_the_teacher_takes_no_gradient():
    network = tiny.model()
    method = rrl.Rrl(
        rrl.Config(warmup_fraction=0.0), network, torch.tensor(tiny.COUNTS), 10, seed=0
    )
    views = (torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16))
    method.loss(views, Targets(torch.tensor([0, 1, 2, 0])), step=0).backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    assert network.head.weight.grad is not None
