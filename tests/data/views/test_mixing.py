"""mixup and CutMix: shares, boxes, and pairs that go together."""

import numpy as np
import pytest
import torch

from lmd_bench.data.views.mixing import Mixture, draw_mixture, join, remixed


@pytest.fixture
def images():
    return torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 10, 10).contiguous()


def test_mixup_is_the_shared_mean_of_an_image_and_its_partner(images):
    mixture = Mixture(torch.tensor([1, 0, 3, 2]), share=0.75)
    mixed = join(images, images[mixture.partners], mixture)
    assert mixed[:, 0, 0, 0].tolist() == [0.25, 0.75, 2.25, 2.75]


def test_cutmix_takes_the_box_and_nothing_else_from_the_partner(images):
    mixture = Mixture(torch.tensor([1, 0, 3, 2]), 0.9, box=(2, 4, 5, 10))
    mixed = join(images, images[mixture.partners], mixture)
    assert (mixed[0, :, 2:4, 5:] == 1).all()
    assert mixed[0].sum() == 3 * 2 * 5
    assert images[0].sum() == 0  # the input is left alone


@pytest.mark.parametrize("box_within", [None, (32, 32)])
def test_a_mixture_repeats_with_its_seed_and_permutes_the_batch(box_within):
    first, again, other = (draw_mixture(16, 1.0, s, box_within) for s in (0, 0, 1))
    assert torch.equal(first.partners, again.partners)
    assert (first.share, first.box) == (again.share, again.box)
    assert first.share != other.share
    assert sorted(first.partners.tolist()) == list(range(16))


def test_the_share_of_cutmix_is_the_area_outside_its_box():
    for seed in range(200):
        mixture = draw_mixture(2, 1.0, seed, (20, 30))
        top, bottom, left, right = mixture.box
        assert 0 <= top <= bottom <= 20
        assert 0 <= left <= right <= 30
        assert mixture.share == pytest.approx(1 - (bottom - top) * (right - left) / 600)


@pytest.mark.parametrize(("alpha", "variance"), [(1.0, 1 / 12), (0.2, 1 / (4 * 1.4))])
def test_shares_of_mixup_have_the_moments_of_their_beta_distribution(alpha, variance):
    shares = [draw_mixture(2, alpha, seed).share for seed in range(3000)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert np.var(shares) == pytest.approx(variance, rel=0.1)


def test_remix_gives_the_whole_label_to_a_class_that_is_rare_enough():
    counts = torch.tensor([300, 100, 99])
    own, theirs = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([1, 2, 0, 2, 2])
    # at a share of .4, 300 against 100 is a ratio of 3, and so is what comes the other way
    labels, partners = remixed(own, theirs, 0.4, counts, 3.0, 0.5)
    assert labels.tolist() == [1, 2, 1, 1, 2]
    assert partners.tolist() == [1, 2, 0, 2, 2]
    # at .6 the rare class is the first of the third pair
    labels, partners = remixed(own, theirs, 0.6, counts, 3.0, 0.5)
    assert labels.tolist() == own.tolist()
    assert partners.tolist() == [1, 2, 1, 2, 2]


def test_remix_is_mixup_where_no_class_is_rare_enough():
    own, theirs = torch.tensor([0, 1]), torch.tensor([1, 0])
    labels, partners = remixed(own, theirs, 0.1, torch.tensor([10, 4]), 3.0, 0.5)
    assert (labels.tolist(), partners.tolist()) == ([0, 1], [1, 0])
