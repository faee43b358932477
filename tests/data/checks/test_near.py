import time

import numpy as np
import pytest
from PIL import Image

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


def test_only_pairs_across_splits_are_found_nearest_first():
    pixels = textures(6)
    pixels[3] = pixels[0]  # train and test
    pixels[1] = pixels[0]  # both in train
    pixels[4] = np.clip(pixels[2] + np.random.default_rng(1).normal(0, 4, pixels[2].shape), 0, 255)
    split = Split(sorted_rows([0, 1]), sorted_rows([2]), sorted_rows([3, 4]))
    found = near_identical(difference_hashes(pixels), split)
    assert [(pair.rows, pair.splits) for pair in found] == [
        ((0, 3), ("train", "test")),
        ((1, 3), ("train", "test")),
        ((2, 4), ("val", "test")),
    ]
    assert [pair.distance for pair in found[:2]] == [0, 0]
    assert 0 < found[2].distance <= THRESHOLD


def test_the_distance_is_the_number_of_different_bits_and_the_threshold_is_included():
    bits = np.zeros((2, 512), dtype=np.bool_)
    bits[1, :7] = True
    split = Split(sorted_rows([0]), sorted_rows([]), sorted_rows([1]))
    assert [pair.distance for pair in near_identical(bits, split, threshold=7)] == [7]
    assert near_identical(bits, split, threshold=6) == ()


def test_pairs_already_known_to_be_identical_are_left_out():
    bits = np.zeros((3, 512), dtype=np.bool_)
    split = Split(sorted_rows([0]), sorted_rows([]), sorted_rows([1, 2]))
    found = near_identical(bits, split, identical=[(0, 1)])
    assert [pair.rows for pair in found] == [(0, 2)]


def test_ten_thousand_images_are_compared_in_seconds():
    bits = np.random.default_rng(0).random((10_000, 512)) < 0.5
    split = Split(
        *(sorted_rows(range(*ends)) for ends in ((0, 7000), (7000, 8000), (8000, 10_000)))
    )
    started = time.perf_counter()
    assert near_identical(bits, split) == ()
    assert time.perf_counter() - started < 20
