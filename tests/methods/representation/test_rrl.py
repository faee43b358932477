"""RRL's losses against NumPy from the formula, their limits, and the teacher."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

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


def test_the_channel_loss_is_over_channels_where_nothing_is_said(features):
    s, t = (torch.tensor(f) for f in features)
    assert torch.equal(rrl.channel_relation_loss(s, t), rrl.channel_relation_loss(s, t, "channels"))


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
    assert rising[1] == pytest.approx(np.exp(-5 * 0.75**2))
    assert rrl.ramp_weight(0.0, 0.0, "hard") == 1.0


def teacher_after(teacher_bn: str, steps: int = 1):
    network = tiny.model()
    config = rrl.Config(teacher_bn=teacher_bn)
    method = rrl.Rrl(config, network, torch.tensor(tiny.COUNTS), n_steps=10, seed=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    network.encoder.network.bn1.running_mean.fill_(7.0)
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
    assert float(batch.encoder.network.bn1.running_mean[0]) == 0.0
    for switch in ("ema", "copy"):
        _, teacher = teacher_after(switch)
        assert not teacher.training
        assert float(teacher.encoder.network.bn1.running_mean[0]) == 7.0


def test_the_teacher_takes_no_gradient():
    network = tiny.model()
    method = rrl.Rrl(
        rrl.Config(warmup_fraction=0.0), network, torch.tensor(tiny.COUNTS), 10, seed=0
    )
    views = (torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16))
    method.loss(views, Targets(torch.tensor([0, 1, 2, 0])), step=0).backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    assert network.head.weight.grad is not None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ema_horizon": 0.0}, "ema_horizon=0.0 must lie in (0, 1]"),
        ({"ema_horizon": 1.5}, "ema_horizon=1.5 must lie in (0, 1]"),
        ({"ema_decay": 1.0}, "ema_decay=1.0 must lie in [0, 1)"),
        ({"ema_decay": -0.5}, "ema_decay=-0.5 must lie in [0, 1)"),
        ({"warmup_fraction": 1.0}, "warmup_fraction=1.0 must lie in [0, 1)"),
        ({"warmup_fraction": -0.5}, "warmup_fraction=-0.5 must lie in [0, 1)"),
    ],
)
def test_values_outside_of_the_ranges_are_refused_in_a_sentence(
    settings: dict[str, float], sentence: str
):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        rrl.Config(**settings)


def test_the_ends_of_the_ranges_are_allowed():
    rrl.Config(ema_horizon=1.0, ema_decay=0.0, warmup_fraction=0.0)


def with_a_teacher_of_its_own(**settings) -> rrl.Rrl:
    """Return RRL whose teacher is another network than the student."""
    config = rrl.Config(warmup_fraction=0.5, **settings)
    method = rrl.Rrl(config, tiny.model(), torch.tensor(tiny.COUNTS), n_steps=10, seed=0)
    method.teacher.load_state_dict(tiny.model(seed=1).state_dict())
    return method


VIEWS = tuple(torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
TARGETS = Targets(torch.tensor([0, 1, 2, 0]))


def test_in_the_warmup_the_loss_is_cross_entropy_of_the_student_view_and_the_teacher_rests():
    method = with_a_teacher_of_its_own()
    before = {name: value.clone() for name, value in method.teacher.state_dict().items()}
    expected = F.cross_entropy(method.model(VIEWS[0])[1], TARGETS.labels)
    assert torch.equal(method.loss(VIEWS, TARGETS, step=4), expected)
    assert all(torch.equal(before[n], v) for n, v in method.teacher.state_dict().items())


@pytest.mark.parametrize("norm", ["channels", "batch"])
@pytest.mark.parametrize(
    ("ramp", "step", "weight"),
    [("hard", 5, 1.0), ("hard", 9, 1.0), ("sigmoid", 2, np.exp(-5 * 0.6**2))],
)
def test_the_loss_is_cross_entropy_and_the_weighted_agreement(norm, ramp, step, weight):
    method = with_a_teacher_of_its_own(
        probability_loss_weight=2.0,
        batch_loss_weight=3.0,
        channel_loss_weight=5.0,
        channel_norm=norm,
        ramp=ramp,
    )
    loss = method.loss(VIEWS, TARGETS, step)
    f_s, z_s = method.model(VIEWS[0])
    f_t, z_t = method.teacher(VIEWS[1])
    agreement = (
        2 * rrl.probability_loss(z_s, z_t)
        + 3 * rrl.batch_relation_loss(f_s, f_t)
        + 5 * rrl.channel_relation_loss(f_s, f_t, norm)
    )
    expected = F.cross_entropy(z_s, TARGETS.labels) + weight * agreement
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_relations_are_in_full_precision_under_autocast():
    method = with_a_teacher_of_its_own()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, logits = torch.randn(4, 8), torch.randn(4, 3)
        ours = method._agreement(features, logits, features.flip(0), logits.flip(0))
    plain = method._agreement(features, logits, features.flip(0), logits.flip(0))
    assert torch.equal(ours, plain)


def test_no_parameter_of_the_teacher_wants_a_gradient():
    assert not any(p.requires_grad for p in with_a_teacher_of_its_own().teacher.parameters())


@pytest.mark.parametrize(("switch", "mean"), [("ema", 0.5), ("copy", 1.0)])
def test_the_second_update_goes_half_of_the_way_and_buffers_as_the_switch_says(switch, mean):
    student, teacher = tiny.model(), None
    config = rrl.Config(teacher_bn=switch, ema_decay=0.9)
    method = rrl.Rrl(config, student, torch.tensor(tiny.COUNTS), n_steps=10, seed=0)
    teacher = method.teacher
    with torch.no_grad():
        for of_student in (*student.parameters(), *rrl._float_buffers(student)):
            of_student.fill_(1.0)
        for of_teacher in (*teacher.parameters(), *rrl._float_buffers(teacher)):
            of_teacher.fill_(0.0)
    method.after_step(1)
    assert {p.unique().item() for p in teacher.parameters()} == {0.5}
    assert {b.unique().item() for b in rrl._float_buffers(teacher)} == {mean}
