import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lmd_bench.methods.representation._base import Targets
from lmd_bench.methods.representation._momentum import Queue
from lmd_bench.methods.representation.paco import Config, Paco, parametric_contrastive
from tests import tiny
from tests.methods.representation.criteria import LABELS, LOGITS, mean_cross_entropy

RNG = torch.Generator().manual_seed(0)
QUERIES = F.normalize(torch.randn(4, 5, generator=RNG), dim=1)
KEYS = F.normalize(torch.randn(6, 5, generator=RNG), dim=1)
KEY_LABELS = torch.tensor([0, 1, 2, 2, -1, -1])


def loss(**settings) -> float:
    arguments = (LOGITS, QUERIES, LABELS, KEYS, KEY_LABELS, Config(**settings))
    return float(parametric_contrastive(*arguments))


def test_the_loss_is_that_of_the_equation():
    keys, labels = np.concatenate([QUERIES, KEYS]), [*LABELS.tolist(), *KEY_LABELS.tolist()]
    losses = []
    for i, label in enumerate(LABELS.tolist()):
        terms = [(float(z), 0.9 * (j == label)) for j, z in enumerate(LOGITS[i])]
        for a, other in enumerate(labels):
            if a != i and other >= 0:
                terms.append((float(QUERIES[i].numpy() @ keys[a]) / 0.3, 0.2 * (other == label)))
        total = np.log(sum(np.exp(z) for z, _ in terms))
        weight = sum(w for _, w in terms)
        losses.append(-sum(w * (z - total) for z, w in terms) / weight)
    found = loss(centre_weight=0.9, sample_weight=0.2, temperature=0.3)
    assert found == pytest.approx(np.mean(losses), rel=1e-5)


def test_with_no_key_of_any_class_it_is_cross_entropy_with_the_batch_left_out():
    alone = [
        parametric_contrastive(
            LOGITS[i : i + 1],
            QUERIES[i : i + 1],
            LABELS[i : i + 1],
            KEYS[4:],
            KEY_LABELS[4:],
            Config(),
        )
        for i in range(4)
    ]
    assert float(torch.stack(alone).mean()) == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_the_queue_keeps_the_newest_keys():
    queue = Queue(3, 2, torch.device("cpu"))
    assert queue.labels.tolist() == [-1, -1, -1]
    queue.push(torch.ones(2, 2), torch.tensor([0, 1]))
    queue.push(torch.zeros(2, 2), torch.tensor([2, 3]))
    assert queue.labels.tolist() == [2, 3, 0]
    assert queue.keys[:, 0].tolist() == [0.0, 0.0, 1.0]


def test_the_teacher_takes_no_gradient_and_follows_the_student():
    method = Paco(Config(ema_decay=0.5), tiny.model(), torch.tensor([24, 12, 3]), 4, 0)
    views = [torch.randn(4, 3, 16, 16) for _ in range(2)]
    method.loss(views, Targets(torch.tensor([0, 1, 2, 0])), 0).backward()
    assert all(p.grad is None for p in method.teacher.parameters())
    with torch.no_grad():
        next(method.model.encoder.parameters()).add_(1.0)
    first = next(method.teacher.parameters()).clone()
    method.after_step(5)
    assert torch.allclose(next(method.teacher.parameters()), first + 0.5, atol=1e-6)
