import pytest
import torch
import torch.nn.functional as F

from lmd_bench.methods.representation._base import Targets
from lmd_bench.methods.representation.bbn import Bbn, Config, natural_weight
from tests import tiny

LABELS, OTHERS = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 2, 1, 0])
TARGETS = Targets(LABELS, second=Targets(OTHERS))


def method(counts=(24, 12, 3)) -> Bbn:
    network = tiny.model(make_encoder=lambda e: Bbn.make_encoder(Config(), e)).eval()
    return Bbn(Config(), network, torch.tensor(counts), 10, 0)


def views() -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(4, 3, 16, 16, generator=rng) for _ in range(2)]


def test_the_weight_moves_from_the_natural_to_the_rare_branch():
    assert [natural_weight(t, 2.0) for t in (0.0, 0.5, 1.0)] == [1.0, 0.75, 0.0]


def test_at_first_only_the_natural_images_count():
    bbn, both = method(), views()
    alone = [both[0], torch.zeros_like(both[1])]
    assert bbn.loss(both, TARGETS, 0).item() == pytest.approx(bbn.loss(alone, TARGETS, 0).item())


def test_half_way_it_is_the_loss_of_the_equation():
    bbn, (natural, rare) = method(), views()
    f = bbn.model.encoder(natural).chunk(2, dim=1)[0]
    g = bbn.model.encoder(rare).chunk(2, dim=1)[1]
    logits = bbn.model.head(torch.cat([1.5 * f, 0.5 * g], dim=1))
    expected = 0.75 * F.cross_entropy(logits, LABELS) + 0.25 * F.cross_entropy(logits, OTHERS)
    found = bbn.loss([natural, rare], TARGETS, 5)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_rare_classes_are_drawn_by_their_inverse_counts():
    counts = torch.tensor([24.0, 12.0, 3.0])
    of_classes = method().second_weights() * counts
    assert torch.allclose(of_classes.float() * counts, torch.ones(3))
