import torch

from lmd_bench.methods.calibration.logistic_regression import Config, LogisticRegression, _minimise
from tests.methods.calibration import features


def test_the_gradient_of_the_objective_is_zero_at_the_solution():
    given = features.stage1()
    config = Config(decay_min=1e-2, decay_max=1e-2, decay_steps=1, n_iterations=500)
    head = LogisticRegression(config).fit(given).model.head
    f, y = given.features[0].double(), given.train_set.labels
    spread = f.std()
    weight = (head.weight.double() * spread).detach().requires_grad_()
    bias = (head.bias.double() + head.weight.double() @ f.mean(dim=0)).detach().requires_grad_()
    logits = ((f - f.mean(dim=0)) / spread) @ weight.T + bias
    losses = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    means = torch.stack([losses[y == label].mean() for label in range(3)])
    (means.mean() + 0.5e-2 * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 1e-4
    assert bias.grad.abs().max() < 1e-4


def test_doubling_the_images_of_a_class_changes_nothing():
    f, y = torch.randn(12, 4), torch.tensor([0] * 8 + [1] * 4)
    heads = []
    for rows in (torch.arange(12), torch.cat([torch.arange(12), torch.arange(8)])):
        head = torch.nn.Linear(4, 2)
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
        weights = 1.0 / (torch.bincount(y[rows])[y[rows]] * 2)
        _minimise(head, f[rows], y[rows], weights, 0.1, 200)
        heads.append(head.weight.detach())
    assert torch.allclose(heads[0], heads[1], atol=1e-3)


def test_the_grid_grows_with_the_width_of_the_features():
    """Features repeated side by side, with twice the decay: the same logits."""
    narrow, wide = features.stage1(), features.stage1()
    wide._features = lambda: tuple(torch.cat([f, f], dim=1) for f in narrow.features)
    config = Config(decay_min=1e-2, decay_max=1e-2, decay_steps=1, n_iterations=500)
    logits = [
        LogisticRegression(config).fit(given).model.head(given.features[1])
        for given in (narrow, wide)
    ]
    half = Config(decay_min=5e-3, decay_max=5e-3, decay_steps=1, n_iterations=500)
    weaker = LogisticRegression(half).fit(narrow).model.head(narrow.features[1])
    assert (logits[0] - logits[1]).abs().max() < 0.05
    assert (logits[0] - weaker).abs().max() > 0.5
