"""Grey levels that cannot be right, found by `check`."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lmd_bench.cli import app
from lmd_bench.core import machine as hardware
from lmd_bench.data.checks.intensities import look_at_levels


def pictures(n, seed=0, size=16):
    """Return grey pictures of a bright disc on noise, as three equal channels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2
    disc = 140 * np.exp(-(x**2 + y**2) / 30)
    grey = np.clip(disc + rng.uniform(0, 100, (n, size, size)), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


def blocks(images, length=7):
    return (images[start : start + length] for start in range(0, len(images), length))


def test_the_negative_among_its_like_is_found():
    images = pictures(30)
    inverted = (0, 8, 29)
    images[list(inverted)] = 255 - images[list(inverted)]
    assert look_at_levels(blocks(images)).inverted == inverted


def test_half_of_them_may_be_inverted():
    images = pictures(30)
    images[::2] = 255 - images[::2]
    assert len(look_at_levels(blocks(images)).inverted) == 15


def test_a_colour_picture_is_never_called_inverted():
    images = pictures(30)
    images[:3] = 255 - images[:3]
    images[..., 2] //= 2
    assert look_at_levels(blocks(images)).inverted == ()


@pytest.mark.parametrize("seed", range(5))
def test_pictures_without_anything_in_common_are_not_called_inverted(seed):
    rng = np.random.default_rng(seed)
    noise = np.repeat(rng.integers(0, 256, (60, 16, 16, 1), dtype=np.uint8), 3, axis=3)
    assert look_at_levels(blocks(noise)).inverted == ()


def test_constant_and_dark_images_are_counted():
    images = pictures(10)
    images[3], images[4] = 0, 77
    levels = look_at_levels(blocks(images))
    assert (levels.constant, levels.n_dark, levels.faint) == ((3, 4), 1, False)
    levels = look_at_levels(blocks(pictures(10) // 8))
    assert (levels.faint, levels.n_dark, levels.range[1] <= 31) == (True, 10, True)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hardware, "n_cores", lambda: 1)
    folder = tmp_path / "twelve"
    for label, name in enumerate("ab"):
        (folder / name).mkdir(parents=True)
        for i, picture in enumerate(pictures(72, seed=label)[..., 0]):
            Image.fromarray(picture.astype(np.uint16) * 16).save(folder / name / f"{name}{i}.png")
    return folder


def check(*arguments):
    result = CliRunner().invoke(app, ["check", "--image-size", "16", *arguments])
    return result.exit_code, " ".join(result.output.split())


def test_check_finds_twelve_bits_in_sixteen_and_auto_mends_it(root):
    common = ("--dataset", "folder", "--data-root", str(root), "--protocol", "natural")
    code, text = check(*common)
    assert code == 1
    assert "so they use 12 bits and 15 of 256 grey levels" in text
    assert "found all pixels of all images lie between 0 and 1" in text
    code, text = check(*common, "--intensity", "auto")
    assert "values 0 to 4095 became black to white" in text
    assert "ok no image of one value, too faint, or inverted" in text
    assert code == 0, text
