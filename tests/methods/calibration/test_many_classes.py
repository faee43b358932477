"""The M-step of many classes: each class is taken alone, with the same value and gradient."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lmd_bench.core.errors import DivergedError
from lmd_bench.methods.calibration import _m_step as m
from lmd_bench.methods.calibration._gaussians import class_moments, fit_gaussians

COUNTS = (30, 12, 5, 2, 1)  # of 12 features: more images than features, as many, fewer, one


def gaussians_of(counts, width=12, model="eps", dtype=torch.float64):
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    centres = torch.randn(len(counts), width, generator=rng, dtype=torch.float64)
    features = centres[labels] + torch.randn(len(labels), width, generator=rng, dtype=torch.float64)
    moments = class_moments(features, labels, len(counts))
    return fit_gaussians(moments, model, dtype=dtype)


def head_of(n_classes, width=12):
    torch.manual_seed(0)
    return nn.Linear(width, n_classes).double()


def taken(loss, head):
    return loss.item(), *torch.autograd.grad(loss, (head.weight, head.bias))


@pytest.mark.parametrize("model", ["eps", "oas"])
def test_each_class_alone_gives_the_value_and_gradient_of_all_at_once(model):
    gaussians, head = gaussians_of(COUNTS, model=model), head_of(5)
    points = m.normal_points(5, 64, seed=0)
    thin = gaussians.thin_factors() or [(factor, 0.0) for factor in gaussians.cholesky]
    whole = m.expected_cross_entropy(
        head.weight, head.bias, gaussians.mean, gaussians.cholesky, points
    )
    alone = m.class_by_class(head.weight, head.bias, gaussians.mean, thin, points)
    for ours, reference in zip(taken(alone, head), taken(whole, head), strict=True):
        assert torch.allclose(torch.as_tensor(ours), torch.as_tensor(reference), atol=1e-12)


@pytest.mark.parametrize(("n_classes", "parted"), [(m.MANY_CLASSES - 1, False), (70, True)])
def test_the_m_step_of_many_classes_ends_where_that_of_all_at_once_does(
    n_classes, parted, monkeypatch
):
    calls = []

    def counted(*args):
        calls.append(1)
        return class_by_class(*args)

    class_by_class = m.class_by_class
    monkeypatch.setattr(m, "class_by_class", counted)
    gaussians = gaussians_of((2,) * n_classes, dtype=torch.float32)
    head, reference = head_of(n_classes), head_of(n_classes)
    reached = m.expected_m_step(head, gaussians, 0.01, n_iterations=3, n_points=32)
    assert bool(calls) == parted
    monkeypatch.setattr(m, "MANY_CLASSES", 1000)
    expected = m.expected_m_step(reference, gaussians, 0.01, n_iterations=3, n_points=32)
    assert reached == pytest.approx(expected, rel=1e-6)
    assert torch.allclose(head.weight, reference.weight, atol=1e-4)


def test_a_factor_is_no_wider_than_its_class_has_images():
    thin = gaussians_of(COUNTS).thin_factors()
    assert [factor.shape[1] for factor, _ in thin] == [12, 12, 5, 2, 1]
    covariances = [f @ f.T + ridge * torch.eye(12, dtype=f.dtype) for f, ridge in thin]
    assert torch.allclose(torch.stack(covariances), gaussians_of(COUNTS).covariance)


def test_few_images_a_class_cost_a_part_of_what_full_factors_do():
    gaussians, head = gaussians_of((3,) * 20, width=96), head_of(20, 96)
    points = m.normal_points(20, 16, seed=0)

    def cost(loss):
        with FlopCounterMode(display=False) as counter:
            taken(loss(), head)
        return counter.get_total_flops()

    full, mean = gaussians.cholesky, gaussians.mean
    thin = gaussians.thin_factors()
    whole = cost(lambda: m.expected_cross_entropy(head.weight, head.bias, mean, full, points))
    parted = cost(lambda: m.class_by_class(head.weight, head.bias, mean, thin, points))
    assert parted < whole / 8


def test_a_class_whose_covariance_is_not_finite_is_said():
    moments = class_moments(torch.full((40, 3), float("nan")), torch.arange(2).repeat(20), 2)
    with pytest.raises(DivergedError, match="cannot be factored"):
        fit_gaussians(moments).thin_factors()
