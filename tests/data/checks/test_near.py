import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from lmd_bench.data.checks import near
from lmd_bench.data.checks.near import THRESHOLD, difference_hashes, near_identical
from lmd_bench.data.tasks.split import Split, sorted_rows


def textures(n, size=32, seed=0):
    """Blurred noise: images with structure at the scale of the hash."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)
    images = [
        Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in coarse
    ]
    return np.stack([np.asarray(image) for image in images])


def resized(pixels, size):
    return np.stack([np.asarray(Image.fromarray(image).resize((size, size))) for image in pixels])


def distance(first, second):
    return int((difference_hashes(first) != difference_hashes(second)).sum())


def test_the_hash_of_a_ramp_is_brighter_to_the_right_everywhere_and_downwards_nowhere():
    ramp = np.broadcast_to(np.arange(0, 64, 2, dtype=np.uint8)[None, None, :, None], (1, 32, 32, 3))
    bits = difference_hashes(np.ascontiguousarray(ramp))
    assert bits.shape == (1, 512)
    assert bits[0, :256].all()
    assert not bits[0, 256:].any()


@pytest.mark.parametrize(
    "change",
    [
        lambda p: (p * 0.8).astype(np.uint8),
        lambda p: (p * 0.7 + 50).astype(np.uint8),
        lambda p: resized(resized(p, 128), 32),
        lambda p: np.clip(p + np.random.default_rng(1).normal(0, 2, p.shape), 0, 255).astype(
            np.uint8
        ),
    ],
    ids=["darker", "less contrast", "resized", "noise"],
)
def test_a_changed_copy_stays_below_the_threshold(change):
    pixels = textures(1)
    assert distance(pixels, change(pixels)) <= THRESHOLD


def test_different_images_differ_in_about_half_of_the_bits():
    assert 200 < distance(textures(1), textures(1, seed=1)) < 312


def split_of(*sizes):
    ends = np.cumsum([0, *sizes])
    return Split(*(sorted_rows(range(*part)) for part in zip(ends[:-1], ends[1:], strict=True)))


def test_only_images_across_splits_are_found_nearest_first():
    pixels = textures(7)
    pixels[3] = pixels[0]  # train and test
    pixels[1] = pixels[0]  # both in train
    pixels[4] = np.clip(pixels[2] + np.random.default_rng(1).normal(0, 4, pixels[2].shape), 0, 255)
    pixels[6] = pixels[5]  # both in test
    found = near_identical(difference_hashes(pixels), split_of(2, 1, 4))
    assert [(group.rows, group.pair, group.splits) for group in found] == [
        ((0, 1, 3), (0, 3), ("train", "test")),
        ((2, 4), (2, 4), ("val", "test")),
    ]
    assert found[0].distance == 0
    assert 0 < found[1].distance <= THRESHOLD


def test_the_distance_is_the_number_of_different_bits_and_the_threshold_is_included():
    bits = np.zeros((2, 512), dtype=np.bool_)
    bits[1, :7] = True
    split = split_of(1, 0, 1)
    assert [group.distance for group in near_identical(bits, split, threshold=7)] == [7]
    assert near_identical(bits, split, threshold=6) == ()


def test_a_set_known_to_be_identical_is_a_group_only_with_another_image():
    bits = np.zeros((3, 512), dtype=np.bool_)
    split = Split(sorted_rows([0]), sorted_rows([]), sorted_rows([1]))
    assert near_identical(bits, split, identical=[(0, 1)]) == ()
    (group,) = near_identical(bits, split_of(1, 0, 2), identical=[(0, 1)])
    assert (group.rows, group.pair) == ((0, 1, 2), (0, 2))
    (group,) = near_identical(bits, split_of(2, 0, 1), identical=[(0, 2)])
    assert (group.rows, group.pair) == ((0, 1, 2), (1, 2))


def test_rows_in_no_split_are_in_no_group():
    bits = np.zeros((3, 512), dtype=np.bool_)
    split = Split(sorted_rows([1]), sorted_rows([]), sorted_rows([2]))
    assert [group.rows for group in near_identical(bits, split)] == [(1, 2)]


@pytest.mark.parametrize("seed", range(8))
def test_groups_are_what_all_pairs_across_splits_hold_together(seed, monkeypatch):
    monkeypatch.setattr(near, "_TILE", 7)
    rng = np.random.default_rng(seed)
    bits = rng.random((12, 64))[rng.integers(0, 12, 60)] < 0.5
    bits ^= rng.random(bits.shape) < 0.03
    part = rng.integers(0, 4, 60)  # 3: in no split
    pairs = {
        (i, j): distance
        for i, j in combinations(range(60), 2)
        if part[i] != part[j]
        and max(part[i], part[j]) < 3
        and (distance := int((bits[i] != bits[j]).sum())) <= 3
    }
    expected = {row: {row} for pair in pairs for row in pair}
    for i, j in pairs:
        expected[i] |= expected[j]
        for row in expected[i]:
            expected[row] = expected[i]
    found = near_identical(bits, Split(*(np.flatnonzero(part == i) for i in range(3))), threshold=3)
    assert pairs
    assert {group.rows for group in found} == {tuple(sorted(rows)) for rows in expected.values()}
    for group in found:
        assert pairs[min(group.pair), max(group.pair)] == group.distance
        assert group.splits == tuple(("train", "val", "test")[part[row]] for row in group.pair)


@pytest.mark.parametrize("flipped", [0, 1], ids=["equal", "one bit apart from the first"])
def test_what_is_kept_of_images_without_structure_does_not_grow_with_their_pairs(flipped):
    bits = np.zeros((3000, 512), dtype=np.bool_)
    if flipped:
        bits[np.arange(511), np.arange(511)] = True
        bits[1000:1511] = bits[:511]
        bits[1000:1511, 511] = True
    split = split_of(2000, 400, 600)
    tracemalloc.start()
    try:
        (group,) = near_identical(bits, split)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert group.rows == tuple(range(3000))  # of 2,240,000 pairs across splits
    assert peak < 64 * 2**20


@pytest.mark.parametrize("quarter", ["equal", "copies of one bit"])
def test_pairs_that_are_near_in_some_bits_alone_are_no_group(quarter):
    rng = np.random.default_rng(0)
    bits = rng.random((40, 512)) < 0.5
    bits[:, ::4] = False if quarter == "equal" else bits[:, :1]
    bits[30] = bits[3]
    bits[30, 1:20:2] ^= True
    split = Split(np.arange(20), np.arange(20, 25), np.arange(25, 40))
    (group,) = near_identical(bits, split)
    assert (group.rows, group.pair, group.distance) == ((3, 30), (3, 30), 10)
