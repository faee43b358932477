"""Class Gaussians against NumPy and scikit-learn, and what must hold for tiny classes."""

import numpy as np
import pytest
import torch
from sklearn.covariance import oas as sklearn_oas

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
    ours = g.borrowed_covariance(moments, n_neighbours=1)
    assert ours.flatten().tolist() == [1.0, 2.0, 4.0]  # (6 + 2) / 2 from the class at 10


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
