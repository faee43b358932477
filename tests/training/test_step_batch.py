"""What a training step is fed: pasted and second images, and mixing with a probability."""

import pytest
import torch

from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.representation.bbn import Bbn
from lmd_bench.methods.representation.bbn import Config as BbnConfig
from lmd_bench.methods.representation.cross_entropy import Config, CrossEntropy
from lmd_bench.training.feed import Feed
from tests import tiny

COUNTS = (400, 40, 4)


def feed(**settings) -> Feed:
    train_set = tiny.image_set(COUNTS, seed=0, size=8)
    method = CrossEntropy(Config(), tiny.model(), torch.tensor(COUNTS), 10, 0)
    return Feed(method, train_set, TrainingConfig(augmentation="weak", **settings), seed=0)


def test_cmo_pastes_images_of_all_classes_alike():
    _, targets = feed(mixing="cmo").batch(torch.arange(444), 0)
    shares = torch.bincount(targets.partner_labels, minlength=3) / 444
    assert (shares - 1 / 3).abs().max() < 0.07
    assert targets.labels.bincount().tolist() == list(COUNTS)


def test_cutmix_takes_partners_from_the_batch():
    _, targets = feed(mixing="cutmix").batch(torch.arange(444), 0)
    assert targets.partner_labels.bincount().tolist() == list(COUNTS)


def test_remix_gives_mixed_pairs_to_the_rarer_class():
    fed = feed(mixing="remix")
    rare = [torch.cat([t.labels, t.partner_labels]).bincount()[2] for t in _targets(fed)]
    plain = [
        torch.cat([t.labels, t.partner_labels]).bincount()[2]
        for t in _targets(feed(mixing="mixup"))
    ]
    assert sum(rare) > sum(plain)


def test_some_batches_stay_unmixed():
    fed = feed(mixing="mixup", mixing_probability=0.5)
    unmixed = sum(targets.partner_labels is None for targets in _targets(fed, n=40))
    assert 8 < unmixed < 32


def test_second_images_are_drawn_by_the_weights_that_the_method_gives():
    train_set = tiny.image_set(COUNTS, seed=0, size=8)
    network = tiny.model(make_encoder=lambda e: Bbn.make_encoder(BbnConfig(), e))
    method = Bbn(BbnConfig(), network, torch.tensor(COUNTS), 10, 0)
    fed = Feed(method, train_set, TrainingConfig(augmentation="weak"), seed=0)
    views, targets = fed.batch(torch.arange(444), 0)
    assert [len(view) for view in views] == [444, 444]
    # 1/n_j: 1/400, 1/40, 1/4
    shares = targets.second.labels.bincount(minlength=3) / 444
    assert torch.allclose(shares, torch.tensor([1.0, 10.0, 100.0]) / 111, atol=0.05)


def _targets(fed: Feed, n: int = 5):
    return [fed.batch(torch.arange(444), step)[1] for step in range(n)]


@pytest.mark.parametrize(
    ("mixing", "share", "partners", "views"),
    [
        ("mixup", 0.9356455640747113, 1404, (-217.6616, 947.8807)),
        ("remix", 0.9356455640747113, 1763, (-217.6616, 947.8807)),
        ("cutmix", 0.96875, 1404, (-209.8513, 949.1059)),
        ("cmo", 0.96875, 1258, (-213.4094, 904.4861)),
    ],
)
def test_a_seed_gives_the_batch_that_it_always_gave(mixing, share, partners, views):
    train_set = tiny.image_set(COUNTS, seed=0, size=8)
    network = tiny.model(make_encoder=lambda e: Bbn.make_encoder(BbnConfig(), e))
    method = Bbn(BbnConfig(), network, torch.tensor(COUNTS), 10, 0)
    fed = Feed(method, train_set, TrainingConfig(augmentation="weak", mixing=mixing), seed=3)
    joined, targets = fed.batch(torch.arange(390, 444), 1)
    # Sums weighted by the place in the batch, for a permutation of partners leaves plain ones.
    place = torch.arange(54)
    assert targets.share == targets.second.share == share
    assert int(targets.partner_labels @ place) == partners
    sums = [float(view.double().mean((1, 2, 3)) @ place.double()) for view in joined]
    assert sums == pytest.approx(views, abs=0.001)
