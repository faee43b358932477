"""The M-step: the expected form agrees with sampling, in value and in gradient."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmd_bench.core.errors import DivergedError
from lmd_bench.methods.calibration import _m_step as m
from lmd_bench.methods.calibration._gaussians import class_moments, fit_gaussians


@pytest.fixture
def gaussians():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(50)
    features = torch.randn(150, 8, generator=rng, dtype=torch.float64)
    return fit_gaussians(
        class_moments(features + labels[:, None] * 0.7, labels, 3), dtype=torch.float64
    )


@pytest.fixture
def head():
    torch.manual_seed(0)
    return nn.Linear(8, 3).double()


def sampled_gradient(head, gaussians, n_each=200_000):
    draws = gaussians.draw(n_each, torch.Generator().manual_seed(1)).flatten(0, 1)
    loss = F.cross_entropy(head(draws), torch.arange(3).repeat_interleave(n_each))
    return loss.detach(), torch.autograd.grad(loss, (head.weight, head.bias))


def test_the_expected_loss_and_gradient_agree_with_sampling(gaussians, head):
    points = m.normal_points(3, 4096, seed=0)
    loss = m.expected_cross_entropy(
        head.weight, head.bias, gaussians.mean, gaussians.cholesky, points
    )
    ours = torch.autograd.grad(loss, (head.weight, head.bias))
    sampled, theirs = sampled_gradient(head, gaussians)
    assert loss.item() == pytest.approx(sampled.item(), rel=5e-3)
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() < 0.01 * b.abs().max()


def test_the_gradient_tends_to_steins_formula(gaussians, head):
    """dJ/dW = 1/K sum_k E[p - y] mu_k^T + E[diag(p) - p p^T] W Sigma_k."""
    points = m.normal_points(3, 8192, seed=0)
    loss = m.expected_cross_entropy(
        head.weight, head.bias, gaussians.mean, gaussians.cholesky, points
    )
    (ours,) = torch.autograd.grad(loss, head.weight)
    w = head.weight.detach()
    expected = torch.zeros_like(w)
    for k in range(3):
        covariance = w @ gaussians.covariance[k] @ w.T
        mean = w @ gaussians.mean[k] + head.bias.detach()
        z = mean + points @ torch.linalg.cholesky(covariance).T
        p = z.softmax(1)
        residual = (p - F.one_hot(torch.tensor(k), 3)).mean(0)
        curvature = torch.diag(p.mean(0)) - p.T @ p / len(p)
        expected += (
            torch.outer(residual, gaussians.mean[k]) + curvature @ w @ gaussians.covariance[k]
        )
    expected /= 3
    assert (ours - expected).abs().max() < 0.01 * expected.abs().max()


def test_without_spread_the_expected_loss_is_cross_entropy_at_the_means(head):
    mean = torch.randn(3, 8, dtype=torch.float64)
    point_masses = torch.eye(8, dtype=torch.float64).expand(3, 8, 8) * 1e-9
    loss = m.expected_cross_entropy(
        head.weight, head.bias, mean, point_masses, m.normal_points(3, 64, 0)
    )
    expected = F.cross_entropy(head(mean), torch.arange(3))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_expected_step_reaches_at_least_the_loss_of_many_sampled_steps(gaussians, head):
    start = head.weight.detach().clone()
    reached = m.expected_m_step(head, gaussians, decay=1e-4, n_points=1024)
    assert not torch.equal(start, head.weight.detach())
    other = nn.Linear(8, 3).double()
    optimiser = torch.optim.SGD(other.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    rng = torch.Generator().manual_seed(0)
    m.sampled_m_step(other, gaussians, optimiser, 1500, 300, rng)
    sampled = sampled_gradient(other, gaussians)[0].item()
    assert sampled_gradient(head, gaussians)[0].item() <= sampled + 2e-3
    assert reached == pytest.approx(sampled_gradient(head, gaussians)[0].item(), abs=5e-3)


def test_sampled_steps_lower_the_loss_and_repeat_with_their_seed(gaussians, head):
    def run():
        torch.manual_seed(0)
        network = nn.Linear(8, 3).double()
        optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
        rng = torch.Generator().manual_seed(3)
        losses = [m.sampled_m_step(network, gaussians, optimiser, 50, 60, rng) for _ in range(4)]
        return losses, network.weight.detach()

    (losses, weight), (again, same) = run(), run()
    assert losses == again
    assert torch.equal(weight, same)
    assert losses[-1] < losses[0]


def test_normal_points_have_exact_first_and_close_second_moments():
    points = m.normal_points(4, 2048, seed=0)
    assert points.mean(0).abs().max() < 1e-12
    assert (torch.cov(points.T) - torch.eye(4)).abs().max() < 0.02


def test_a_sampled_gradient_is_that_of_drawn_features_in_expectation(gaussians, head):
    noise = torch.randn(3, 200_000, 3, generator=torch.Generator().manual_seed(5)).double()
    loss, of_weight, of_bias, info = m.sampled_gradient(head, gaussians, noise)
    expected, (weight, bias) = sampled_gradient(head, gaussians)
    assert info == 0
    assert loss.item() == pytest.approx(expected.item(), rel=5e-3)
    assert (of_weight - weight).abs().max() < 0.01 * weight.abs().max()
    assert (of_bias - bias).abs().max() < 0.01 * bias.abs().max()


def test_a_sampled_gradient_varies_less_than_that_of_drawn_features(gaussians, head):
    rng = torch.Generator().manual_seed(5)

    def spread(gradients):
        return torch.stack(gradients).var(dim=0).sum()

    ours = [
        m.sampled_gradient(head, gaussians, torch.randn(3, 10, 3, generator=rng).double())[1]
        for _ in range(300)
    ]
    labels = torch.arange(3).repeat_interleave(10)
    theirs = [
        torch.autograd.grad(
            F.cross_entropy(head(gaussians.draw(10, rng).flatten(0, 1)), labels), head.weight
        )[0]
        for _ in range(300)
    ]
    assert spread(ours) < spread(theirs)


def test_logits_whose_covariance_is_not_finite_are_refused(gaussians, head):
    with torch.no_grad():
        head.weight.fill_(float("nan"))
    optimiser = torch.optim.SGD(head.parameters(), lr=0.1)
    with pytest.raises(DivergedError, match="cannot be factored"):
        m.sampled_m_step(head, gaussians, optimiser, 1, 30, torch.Generator().manual_seed(0))


def test_the_sampled_form_is_optimised_by_the_published_sgd(head):
    optimiser = m.sgd_of(head, lr=0.3, decay=0.02)
    (group,) = optimiser.param_groups
    assert group["params"] == [head.weight, head.bias]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.3, 0.9, 0.02)


@pytest.mark.parametrize(("batch_size", "n_each"), [(2, 1), (3, 1), (11, 3)])
def test_sampled_steps_are_those_of_the_gradient_on_balanced_draws(
    gaussians, head, batch_size, n_each
):
    reference = nn.Linear(8, 3).double()
    reference.load_state_dict(head.state_dict())
    loss = m.sampled_m_step(
        head,
        gaussians,
        torch.optim.SGD(head.parameters(), lr=0.1),
        3,
        batch_size,
        torch.Generator().manual_seed(7),
    )
    rng, losses = torch.Generator().manual_seed(7), []
    for _ in range(3):
        noise = torch.randn(3, n_each, 3, generator=rng, dtype=torch.float64)
        of_step, of_weight, of_bias, _ = m.sampled_gradient(reference, gaussians, noise)
        with torch.no_grad():
            reference.weight -= 0.1 * of_weight
            reference.bias -= 0.1 * of_bias
        losses.append(float(of_step))
    assert loss == pytest.approx(sum(losses) / 3, rel=1e-12)
    assert torch.allclose(head.weight, reference.weight, atol=1e-12)


def test_the_expected_step_ends_where_the_gradient_of_loss_and_decay_is_zero(gaussians, head):
    points = m.normal_points(3, 256, seed=0)
    reached = m.expected_m_step(head, gaussians, decay=0.05)
    weight, bias = (p.detach().clone().requires_grad_() for p in (head.weight, head.bias))
    loss = m.expected_cross_entropy(weight, bias, gaussians.mean, gaussians.cholesky, points)
    assert reached == pytest.approx(loss.item(), rel=1e-9)
    of_weight, of_bias = torch.autograd.grad(loss, (weight, bias))
    assert (of_weight + 0.05 * weight).abs().max() < 2e-4
    assert (of_bias + 0.05 * bias).abs().max() < 2e-4


def test_the_seed_of_the_expected_step_is_that_of_its_points(gaussians, head):
    start = {name: value.clone() for name, value in head.state_dict().items()}
    reached: list[float] = []
    for seed in (0, 0, 1):
        head.load_state_dict(start)
        reached.append(m.expected_m_step(head, gaussians, decay=0.01, n_points=16, seed=seed))
    assert reached[0] == reached[1] != reached[2]


def test_the_expected_loss_is_that_of_the_logits_at_each_point(gaussians, head):
    """At points that are no mirror images of each other, so that their sign counts."""
    points = torch.rand(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    losses = []
    w, b = head.weight.detach(), head.bias.detach()
    for k in range(3):
        spread = w @ gaussians.covariance[k] @ w.T
        factor = torch.linalg.cholesky(spread + m.JITTER * spread.diagonal().mean() * torch.eye(3))
        logits = w @ gaussians.mean[k] + b + points @ factor.T
        losses.append(F.cross_entropy(logits, torch.full((5,), k)))
    ours = m.expected_cross_entropy(w, b, gaussians.mean, gaussians.cholesky, points)
    assert ours.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-9)


def test_a_head_of_zeros_has_logits_that_are_held_up_by_the_jitter():
    cholesky, info = m.factor_of_logits(torch.zeros(3, 3, 3, dtype=torch.float32))
    assert info == 0
    assert cholesky.dtype is torch.float32
    expected = (m.JITTER * 1e-12) ** 0.5 * torch.eye(3)
    assert torch.allclose(cholesky, expected.expand(3, 3, 3), rtol=1e-4, atol=0.0)


def test_the_jitter_is_a_share_of_the_mean_variance_of_its_class():
    spread = torch.diag_embed(torch.tensor([[1.0, 3.0], [200.0, 400.0]], dtype=torch.float64))
    cholesky, _ = m.factor_of_logits(spread)
    jitter = torch.diagonal(cholesky @ cholesky.mT - spread, dim1=1, dim2=2)
    expected = m.JITTER * torch.tensor([[2.0, 2.0], [300.0, 300.0]], dtype=torch.float64)
    assert torch.allclose(jitter, expected, rtol=1e-5)


def test_a_covariance_without_a_factor_is_said(gaussians, head):
    with pytest.raises(
        DivergedError, match="^the covariance of the classifier's logits cannot be factored$"
    ):
        m.expected_cross_entropy(
            head.weight.double() * float("nan"),
            head.bias,
            gaussians.mean,
            gaussians.cholesky,
            m.normal_points(3, 8, 0),
        )


def test_normal_points_are_scrambled_by_their_seed_and_come_in_mirror_images():
    points = m.normal_points(3, 64, seed=0)
    assert points.shape == (64, 3)
    assert points.dtype is torch.float64
    assert torch.equal(points[:32], -points[32:])
    assert torch.equal(points, m.normal_points(3, 64, seed=0))
    assert not torch.equal(points, m.normal_points(3, 64, seed=1))
    # the quartiles of a standard normal
    assert points.abs().median() == pytest.approx(0.6745, abs=0.08)
