import numpy as np
import torch

from lmd_bench.methods.calibration.lda import discriminants


def test_the_discriminants_are_those_of_the_equation():
    rng = np.random.default_rng(0)
    mean, a = rng.normal(size=(3, 4)), rng.normal(size=(9, 4))
    within = a.T @ a / 9
    weight, bias = discriminants(
        torch.from_numpy(mean), torch.from_numpy(within), torch.tensor([0.3], dtype=torch.float64)
    )
    shrunk = 0.7 * within + 0.3 * np.trace(within) / 4 * np.eye(4)
    expected = np.linalg.solve(shrunk, mean.T).T
    assert np.allclose(weight[0], expected)
    assert np.allclose(bias[0], -0.5 * (expected * mean).sum(1))


def test_full_shrinkage_is_the_nearest_mean():
    rng = np.random.default_rng(1)
    mean, f = torch.from_numpy(rng.normal(size=(3, 4))), torch.from_numpy(rng.normal(size=(20, 4)))
    a = torch.from_numpy(rng.normal(size=(9, 4)))
    one = torch.ones(1, dtype=torch.float64)
    weight, bias = discriminants(mean, a.T @ a, one)
    nearest = torch.cdist(f, mean).argmin(dim=1)
    assert torch.equal((f @ weight[0].T + bias[0]).argmax(dim=1), nearest)
