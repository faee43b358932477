import numpy as np
import pytest

from lmd_bench.data.datasets import load
from lmd_bench.data.datasets.synthetic import COUNTS, LOOKS, draw


def test_table_has_the_declared_counts_and_unique_ids():
    table = load("synthetic").read(None)
    assert tuple(np.bincount(table.labels)) == COUNTS
    assert len(set(table.image_ids)) == len(table)


def test_lesions_hold_one_to_three_images_of_one_class():
    table = load("synthetic").read(None)
    sizes = np.unique(np.array(table.groups), return_counts=True)[1]
    assert set(sizes.tolist()) == {1, 2, 3}
    pairs = set(zip(table.groups, table.labels.tolist(), strict=True))
    assert len(pairs) == len(set(table.groups))


def test_an_image_depends_on_its_id_alone():
    first = draw("smooth-0003-0", 32)
    draw("lobular-0001-1", 32)
    np.testing.assert_array_equal(draw("smooth-0003-0", 32), first)


def test_two_images_of_a_lesion_differ():
    assert (draw("smooth-0003-0", 32) != draw("smooth-0003-1", 32)).any()


@pytest.mark.parametrize("size", [8, 33, 64])
def test_an_image_is_rgb_of_the_asked_size(size):
    image = draw("streaked-0000-0", size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8


def test_no_image_is_missing_and_none_needs_a_file():
    dataset = load("synthetic")
    table = dataset.read(None)
    assert not dataset.missing(None, table).any()
    assert dataset.image(table.image_ids[0], None, 16).shape == (16, 16, 3)


def test_lesions_are_darker_than_the_skin_around_them():
    images = np.stack([draw(f"{name}-{i:04d}-0", 32) for name in LOOKS for i in range(10)])
    corner, middle = images[:, :3, :3].mean(), images[:, 12:20, 12:20].mean()
    assert middle < corner - 30


def test_colour_alone_does_not_tell_the_classes_apart():
    # nearest class mean of the mean colour: above chance (1/6), far from solved
    def mean_colours(first):
        ids = [[f"{name}-{i:04d}-0" for i in range(first, first + 40)] for name in LOOKS]
        return np.array([[draw(i, 16).mean(axis=(0, 1)) for i in row] for row in ids])

    centres, probes = mean_colours(2000).mean(axis=1), mean_colours(3000)
    distance = np.linalg.norm(probes[:, :, None] - centres, axis=-1)
    accuracy = (distance.argmin(axis=-1) == np.arange(len(LOOKS))[:, None]).mean()
    assert 0.2 < accuracy < 0.5
