"""Class Gaussians against NumPy and scikit-learn, and what must hold for tiny classes."""

import numpy as np
import pytest
import torch
from sklearn.covariance import oas as sklearn_oas

from lmd_bench.core.errors import DivergedError
from lmd_bench.methods.calibration import _gaussians as g

F64 = torch.float64
MODELS = ("eps", "diag", "shrink_diag", "oas", "pooled", "tail_borrow")


def toy(counts=(40, 12, 3), n_features=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    mixing = rng.normal(size=(n_features, n_features))
    features = rng.normal(size=(len(labels), n_features)) @ mixing + labels[:, None]
    return torch.tensor(features), torch.tensor(labels)


def test_moments_are_those_of_numpy():
    features, labels = toy()
    moments = g.class_moments(features, labels, 3)
    for k in range(3):
        of_class = features[labels == k].numpy()
        np.testing.assert_allclose(moments.mean[k], of_class.mean(0), atol=1e-12)
        np.testing.assert_allclose(moments.covariance[k], np.cov(of_class.T), atol=1e-12)
    assert moments.counts.tolist() == [40, 12, 3]


def test_a_class_with_one_image_has_covariance_zero_and_a_usable_gaussian():
    features, labels = toy(counts=(10, 1))
    moments = g.class_moments(features, labels, 2)
    assert torch.equal(moments.covariance[1], torch.zeros(5, 5, dtype=torch.float64))
    assert torch.isfinite(g.fit_gaussians(moments, dtype=F64).mahalanobis(features)).all()


@pytest.mark.parametrize("model", MODELS)
def test_every_covariance_model_stays_finite_on_a_class_of_three_images(model):
    features, labels = toy(n_features=20)
    gaussians = g.fit_gaussians(g.class_moments(features, labels, 3), model, dtype=F64)
    assert torch.isfinite(gaussians.mahalanobis(features)).all()
    assert torch.isfinite(gaussians.log_determinant()).all()
    assert (torch.linalg.eigvalsh(gaussians.covariance) > 0).all()


def test_mahalanobis_distance_follows_its_formula():
    features, labels = toy()
    gaussians = g.fit_gaussians(g.class_moments(features, labels, 3), dtype=F64)
    expected = np.empty((len(features), 3))
    for k in range(3):
        inverse = np.linalg.inv(gaussians.covariance[k].numpy())
        difference = features.numpy() - gaussians.mean[k].numpy()
        expected[:, k] = np.einsum("bi,ij,bj->b", difference, inverse, difference)
    np.testing.assert_allclose(gaussians.mahalanobis(features), expected, rtol=1e-8)


def test_mahalanobis_gradient_agrees_with_finite_differences():
    features, labels = toy()
    gaussians = g.fit_gaussians(g.class_moments(features, labels, 3), dtype=F64)
    assert torch.autograd.gradcheck(gaussians.mahalanobis, features[:4].clone().requires_grad_())


def test_log_determinant_is_that_of_numpy():
    features, labels = toy()
    gaussians = g.fit_gaussians(g.class_moments(features, labels, 3), dtype=F64)
    expected = np.linalg.slogdet(gaussians.covariance.numpy())[1]
    np.testing.assert_allclose(gaussians.log_determinant(), expected, rtol=1e-10)


def test_oas_shrinks_as_equation_23_says_and_as_scikit_learn_does():
    features, labels = toy(counts=(400, 30), n_features=6)
    moments = g.class_moments(features, labels, 2)
    ours = g.oas_covariance(moments.covariance, moments.counts)
    for k in range(2):
        of_class = features[labels == k].numpy()
        n, p = of_class.shape
        s = np.cov(of_class.T, bias=True)
        trace, square = np.trace(s), np.trace(s @ s)
        rho = ((1 - 2 / p) * square + trace**2) / ((n + 1 - 2 / p) * (square - trace**2 / p))
        expected = (1 - min(1, rho)) * s + min(1, rho) * trace / p * np.eye(p)
        np.testing.assert_allclose(ours[k], expected, rtol=1e-9)
        # scikit-learn leaves out the 2/p terms, which vanish for many features
        np.testing.assert_allclose(ours[k], sklearn_oas(of_class)[0], rtol=0.1, atol=0.1)


def test_pooled_covariance_weighs_classes_by_their_degrees_of_freedom():
    features, labels = toy()
    moments = g.class_moments(features, labels, 3)
    centred = features - moments.mean[labels]
    np.testing.assert_allclose(g.pooled_covariance(moments), centred.T @ centred / 52, atol=1e-12)


def test_a_tail_class_borrows_from_the_nearest_heads_and_heads_keep_theirs():
    mean = torch.tensor([[0.0], [10.0], [11.0]])
    covariance = torch.tensor([[[1.0]], [[2.0]], [[6.0]]])
    moments = g.ClassMoments(mean, covariance, torch.tensor([100, 90, 3]))
    ours = [*map(g.borrowed_covariance(moments, n_neighbours=1), range(3))]
    assert [of_class.item() for of_class in ours] == [
        1.0,
        2.0,
        4.0,
    ]  # (6 + 2) / 2 from the class at 10


def test_shrinkage_runs_from_the_sample_covariance_to_its_diagonal():
    features, labels = toy()
    moments = g.class_moments(features, labels, 3)
    none = g.fit_gaussians(moments, "shrink_diag", shrinkage=0.0)
    all_of_it = g.fit_gaussians(moments, "shrink_diag", shrinkage=1.0)
    assert torch.allclose(none.covariance, g.fit_gaussians(moments, "eps").covariance)
    assert torch.allclose(all_of_it.covariance, g.fit_gaussians(moments, "diag").covariance)


def test_draws_have_the_moments_of_their_class():
    features, labels = toy()
    gaussians = g.fit_gaussians(g.class_moments(features, labels, 3), dtype=F64)
    draws = gaussians.draw(40_000, torch.Generator().manual_seed(0))
    for k in range(3):
        scale = gaussians.covariance[k].diagonal().sqrt()
        assert ((draws[k].mean(0) - gaussians.mean[k]).abs() / scale).max() < 0.02
        spread = torch.outer(scale, scale)
        assert ((torch.cov(draws[k].T) - gaussians.covariance[k]).abs() / spread).max() < 0.03


def test_the_result_has_the_type_that_was_asked_for_and_float32_without_asking():
    features, labels = toy()
    moments = g.class_moments(features, labels, 3)
    for gaussians, dtype in (
        (g.fit_gaussians(moments), torch.float32),
        (g.fit_gaussians(moments, dtype=F64), F64),
    ):
        parts = (gaussians.mean, gaussians.covariance, gaussians.cholesky, gaussians.whitener)
        assert {part.dtype for part in parts} == {dtype}
    # factored in float64 and then rounded, not the other way round
    assert torch.equal(
        g.fit_gaussians(moments).whitener, g.fit_gaussians(moments, dtype=F64).whitener.float()
    )


def test_without_being_told_a_hundredth_is_added_to_the_sample_covariance():
    features, labels = toy()
    moments = g.class_moments(features, labels, 3)
    gaussians = g.fit_gaussians(moments, dtype=F64)
    assert torch.equal(gaussians.covariance, moments.covariance + 0.01 * torch.eye(5, dtype=F64))


def test_each_covariance_model_is_its_formula_with_eps_under_it():
    features, labels = toy(counts=(40, 12, 9, 3))
    moments = g.class_moments(features, labels, 4)
    s, eps = moments.covariance, 0.25 * torch.eye(5, dtype=F64)
    diagonal = torch.stack([torch.diag(of_class.diag()) for of_class in s])
    within = g.pooled_covariance(moments)
    expected = {
        "eps": s,
        "diag": diagonal,
        "shrink_diag": 0.7 * s + 0.3 * diagonal,
        "oas": g.oas_covariance(s, moments.counts),
        "pooled": 0.7 * s + 0.3 * within,
        "tail_borrow": torch.stack([*map(g.borrowed_covariance(moments, 2), range(4))]),
    }
    for model in MODELS:
        gaussians = g.fit_gaussians(moments, model, eps=0.25, shrinkage=0.3, dtype=F64)
        assert torch.allclose(gaussians.covariance, expected[model] + eps, atol=1e-12), model


def test_a_class_without_images_is_counted():
    features, labels = toy(counts=(6, 4))
    assert g.class_moments(features, labels, 3).counts.tolist() == [6, 4, 0]


def test_two_images_have_the_covariance_over_n_minus_one():
    features = torch.tensor([[0.0], [2.0]])
    moments = g.class_moments(features, torch.tensor([0, 0]), 1)
    assert moments.covariance.tolist() == [[[2.0]]]


def test_classes_of_one_image_leave_the_pooled_covariance_alone():
    covariance = torch.tensor([[[0.0]], [[3.0]]], dtype=F64)
    moments = g.ClassMoments(torch.zeros(2, 1), covariance, torch.tensor([1, 2]))
    assert g.pooled_covariance(moments).tolist() == [[3.0]]
    nothing = g.ClassMoments(torch.zeros(2, 1), 0 * covariance, torch.tensor([1, 1]))
    assert g.pooled_covariance(nothing).tolist() == [[0.0]]


def test_a_tail_class_borrows_from_no_more_heads_than_there_are():
    mean = torch.tensor([[0.0], [10.0], [11.0]])
    covariance = torch.tensor([[[1.0]], [[2.0]], [[6.0]]])
    moments = g.ClassMoments(mean, covariance, torch.tensor([100, 90, 3]))
    ours = [*map(g.borrowed_covariance(moments, n_neighbours=5), range(3))]
    assert [of_class.item() for of_class in ours] == [1.0, 2.0, 3.0]  # (6 + 2 + 1) / 3


def test_a_spread_that_is_round_already_is_its_own_oas():
    # tr(S^2) = tr(S)^2 / p: the denominator is 0, and rho is 1
    covariance = 2.0 * torch.eye(3, dtype=F64)[None]
    ours = g.oas_covariance(covariance, torch.tensor([50]))
    assert torch.allclose(ours, covariance * 49 / 50)
    # few images: rho would be above 1
    few = torch.diag(torch.tensor([2.0, 1.0, 1.0], dtype=F64))[None]
    ours = g.oas_covariance(few, torch.tensor([2]))
    assert torch.allclose(ours, torch.eye(3, dtype=F64)[None] * 4 / 3 / 2)
    one = g.oas_covariance(few, torch.tensor([1]))
    assert torch.allclose(one, torch.eye(3, dtype=F64)[None] * 4 / 3)


def test_a_covariance_that_cannot_be_factored_is_said():
    gaussians = g.ClassGaussians(torch.zeros(2, 2), (torch.eye(2), -torch.eye(2)).__getitem__)
    for part in ("cholesky", "whitener"):
        with pytest.raises(DivergedError, match="^a class covariance of the features cannot be f"):
            getattr(gaussians, part)


def test_draws_follow_the_generator_alone():
    features, labels = toy()
    gaussians = g.fit_gaussians(g.class_moments(features, labels, 3), dtype=F64)
    first, second = (gaussians.draw(3, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.dtype is F64
