import numpy as np
import pytest
import torch

from lmd_bench.methods.representation._contrastive import (
    Projection,
    balanced_contrastive,
    supervised_contrastive,
)

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(6, 4))
Z /= np.linalg.norm(Z, axis=1, keepdims=True)
Y = np.array([0, 0, 0, 1, 1, 2])
CENTRES = RNG.normal(size=(3, 4))
CENTRES /= np.linalg.norm(CENTRES, axis=1, keepdims=True)


def test_supervised_contrastive_is_that_of_the_equation():
    losses = []
    for i in range(5):  # 5 is alone in its class
        others = [a for a in range(6) if a != i]
        total = sum(np.exp(Z[i] @ Z[a] / 0.5) for a in others)
        positives = [a for a in others if Y[a] == Y[i]]
        losses.append(-np.mean([np.log(np.exp(Z[i] @ Z[p] / 0.5) / total) for p in positives]))
    found = supervised_contrastive(torch.from_numpy(Z), torch.from_numpy(Y), 0.5)
    assert float(found) == pytest.approx(np.mean(losses))


def test_balanced_contrastive_is_that_of_the_equation():
    everything, labels = np.concatenate([Z, CENTRES]), np.concatenate([Y, np.arange(3)])
    losses = []
    for i in range(6):
        members = [[a for a in range(9) if labels[a] == c and a != i] for c in range(3)]
        total = sum(np.mean([np.exp(Z[i] @ everything[a] / 0.5) for a in b]) for b in members)
        positives = members[Y[i]]
        losses.append(
            -np.mean([np.log(np.exp(Z[i] @ everything[p] / 0.5) / total) for p in positives])
        )
    found = balanced_contrastive(
        torch.from_numpy(Z), torch.from_numpy(Y), torch.from_numpy(CENTRES), 0.5
    )
    assert float(found) == pytest.approx(np.mean(losses))


def test_a_class_pushes_with_one_voice_however_many_its_images():
    y = torch.tensor([0, 1])
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    centres = z.clone()
    one = balanced_contrastive(z, y, centres, 1.0)
    many = balanced_contrastive(
        torch.cat([z, z[1:].expand(7, -1)]),
        torch.cat([y, torch.ones(7, dtype=torch.long)]),
        centres,
        1.0,
    )
    assert float(one) == pytest.approx(float(many))


def test_a_batch_without_pairs_gives_zero_and_a_finite_gradient():
    z = torch.eye(3, dtype=torch.float64, requires_grad=True)
    loss = supervised_contrastive(z, torch.arange(3), 0.1)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.isfinite(z.grad).all()


def test_gradients_are_those_of_finite_differences():
    z = torch.from_numpy(Z).requires_grad_()
    y, centres = torch.from_numpy(Y), torch.from_numpy(CENTRES).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: supervised_contrastive(a, y, 0.5), (z,))
    assert torch.autograd.gradcheck(lambda a, b: balanced_contrastive(a, y, b, 0.5), (z, centres))


def test_embeddings_have_length_one_and_repeat_with_their_seed():
    first, again = (Projection(5, 3, seed=1) for _ in range(2))
    f = torch.randn(8, 5)
    assert torch.equal(first(f), again(f))
    assert torch.allclose(first(f).norm(dim=1), torch.ones(8))
