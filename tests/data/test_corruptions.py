"""Corruptions: seeded, stronger with their strength, and shaped as images are."""

import numpy as np
import pytest

from lmd_bench.data.corruptions import CORRUPTIONS, STRENGTHS, corrupted


def picture(size: int = 24) -> np.ndarray:
    """Return a smooth picture with an edge."""
    ramp = np.linspace(60, 190, size)
    image = np.stack(
        [np.add.outer(ramp, ramp) / 2, np.tile(ramp, (size, 1)), np.full((size, size), 120.0)],
        axis=2,
    )
    image[:, size // 2 :] *= 0.5
    return image.astype(np.uint8)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_same_seed_and_image_give_the_same_bits(kind):
    first, again = (corrupted(picture(), kind, 3, 0, "a") for _ in range(2))
    assert first.dtype == np.uint8
    assert first.shape == picture().shape
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_strength_moves_an_image_further(kind):
    clean = picture().astype(float)
    moved = [np.abs(corrupted(picture(), kind, s, 0, "a") - clean).mean() for s in STRENGTHS]
    assert moved[0] > 0
    assert moved == sorted(moved)


@pytest.mark.parametrize("kind", ["noise", "colour_cast"])
def test_another_image_or_seed_has_other_draws(kind):
    draws = [
        corrupted(picture(), kind, 2, seed, name) for seed, name in ((0, "a"), (0, "b"), (1, "a"))
    ]
    assert not np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_the_noise_has_the_standard_deviation_of_its_strength():
    grey = np.full((64, 64, 3), 128, dtype=np.uint8)
    assert corrupted(grey, "noise", 1, 0, "a").std() / 255 == pytest.approx(0.08, rel=0.05)


def test_contrast_leaves_the_mean_of_each_channel_and_a_part_of_the_rest():
    left = corrupted(picture(), "contrast", 2, 0, "a").astype(float)
    clean = picture().astype(float)
    np.testing.assert_allclose(left.mean(axis=(0, 1)), clean.mean(axis=(0, 1)), atol=0.5)
    assert left[..., 0].std() == pytest.approx(0.3 * clean[..., 0].std(), rel=0.05)


def test_a_colour_cast_changes_channels_and_not_the_picture():
    image = np.full((8, 8, 3), 100, dtype=np.uint8)
    cast = corrupted(image, "colour_cast", 5, 0, "a")
    assert len(np.unique(cast.reshape(-1, 3), axis=0)) == 1
    assert np.abs(cast[0, 0] / 100 - 1).max() == pytest.approx(0.5, abs=0.01)
