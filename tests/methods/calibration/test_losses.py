"""GCE and FDC: formulas, limits, gradients, and the two defects they repair."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lmd_bench.methods.calibration._gaussians import class_moments, fit_gaussians
from lmd_bench.methods.calibration._losses import feature_distribution_consistency as fdc
from lmd_bench.methods.calibration._losses import generalised_cross_entropy as gce

FORMS = ("signed", "official", "hinge", "qda_ce")


@pytest.fixture
def problem():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(30)
    features = torch.randn(90, 6, generator=rng, dtype=torch.float64) + 2.0 * labels[:, None]
    gaussians = fit_gaussians(class_moments(features, labels, 3), dtype=torch.float64)
    batch = torch.randn(12, 6, generator=rng, dtype=torch.float64) * 2 + 1
    return batch, torch.arange(12) % 3, gaussians


def test_gce_follows_its_formula():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(5, 3)), np.array([0, 1, 2, 1, 0])
    p = (np.exp(z) / np.exp(z).sum(1, keepdims=True))[np.arange(5), y]
    ours = gce(torch.tensor(z), torch.tensor(y), 0.7)
    assert ours.item() == pytest.approx(((1 - p**0.7) / 0.7).mean(), rel=1e-9)


def test_gce_tends_to_cross_entropy_as_q_tends_to_zero_and_is_mae_at_one():
    z, y = torch.randn(8, 4, dtype=torch.float64), torch.arange(8) % 4
    assert gce(z, y, 1e-6).item() == pytest.approx(F.cross_entropy(z, y).item(), rel=1e-4)
    p = z.softmax(1)[torch.arange(8), y]
    assert gce(z, y, 1.0).item() == pytest.approx((1 - p).mean().item())


def test_gce_gradient_agrees_with_finite_differences():
    z, y = torch.randn(4, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2, 0])
    assert torch.autograd.gradcheck(lambda x: gce(x, y, 0.7), z)


@pytest.mark.parametrize("form", FORMS)
def test_fdc_follows_its_formula(problem, form):
    features, labels, gaussians = problem
    d2 = gaussians.mahalanobis(features).numpy() / 6
    own = d2[np.arange(12), labels]
    others = np.array([np.delete(row, label) for row, label in zip(d2, labels, strict=True)])
    log_det = gaussians.log_determinant().numpy() / 6
    score = -0.5 * (d2 + log_det)
    log_p = score - np.log(np.exp(score).sum(1, keepdims=True))
    expected = {
        "signed": own.mean() - others.mean(),
        "official": others.mean() - own.mean(),
        "hinge": np.maximum(0, 1.0 + own[:, None] - others).mean(),
        "qda_ce": -log_p[np.arange(12), labels].mean(),
    }[form]
    assert fdc(features, labels, gaussians, form).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_fdc_gradients_agree_with_finite_differences(problem, form):
    features, labels, gaussians = problem
    assert torch.autograd.gradcheck(
        lambda x: fdc(x, labels, gaussians, form), features.clone().requires_grad_()
    )


def after_descent(problem, form: str) -> tuple[float, float, float, float]:
    features, labels, gaussians = problem
    x = features.clone().requires_grad_()
    for _ in range(20):
        (gradient,) = torch.autograd.grad(fdc(x, labels, gaussians, form), x)
        x = (x - 1.0 * gradient).detach().requires_grad_()
    own = F.one_hot(labels, 3).bool()
    before, after = gaussians.mahalanobis(features), gaussians.mahalanobis(x.detach())
    return tuple(float(d[m].mean()) for d in (before, after) for m in (own, ~own))


@pytest.mark.parametrize("form", ["signed", "hinge", "qda_ce"])
def test_minimising_fdc_lowers_the_own_distance_against_the_others(problem, form):
    own_before, others_before, own_after, others_after = after_descent(problem, form)
    assert own_after - others_after < own_before - others_before
    if form == "signed":
        assert others_after > others_before


def test_minimising_the_official_form_pushes_features_from_their_own_class(problem):
    own_before, others_before, own_after, others_after = after_descent(problem, "official")
    assert own_after > own_before
    assert own_after - others_after > own_before - others_before


@pytest.mark.parametrize(("form", "pulled"), [("signed", "own"), ("official", "others")])
def test_beyond_the_clip_a_distance_is_made_no_larger_and_still_made_smaller(problem, form, pulled):
    features, labels, gaussians = problem
    far = (features + 1e3).requires_grad_()
    own = F.one_hot(labels, 3).bool()
    distances = gaussians.mahalanobis(far) / 6
    smaller = distances[own] if pulled == "own" else distances[~own]
    loss = fdc(far, labels, gaussians, form, clip=5.0)
    assert loss.item() == pytest.approx(smaller.mean().item() - 5.0)
    (ours,) = torch.autograd.grad(loss, far, retain_graph=True)
    (expected,) = torch.autograd.grad(smaller.mean(), far)
    assert torch.allclose(ours, expected)


def test_hinge_and_likelihood_forms_are_bounded_below(problem):
    _, labels, gaussians = problem
    at_own_mean = gaussians.mean[labels]
    assert fdc(at_own_mean, labels, gaussians, "hinge", margin=0.0).item() >= 0.0
    assert fdc(at_own_mean, labels, gaussians, "qda_ce").item() >= 0.0
