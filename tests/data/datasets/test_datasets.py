"""The contract of every data set, and how they are found."""

import re

import numpy as np
import pytest
from PIL import Image

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets import load
from lmd_bench.data.datasets._base import decode

NAMES = plugins.names("datasets")


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_complete_and_named_as_its_file(name):
    card = load(name).card
    assert card.name == name
    assert all((card.title, card.licence, card.citation, card.how_to_get))
    if card.expected_counts is not None:
        assert len(card.expected_counts) == len(card.class_names)
    else:
        assert not card.class_names or card.expected_images is not None


@pytest.mark.parametrize("name", NAMES)
def test_an_alias_is_no_name_of_another_data_set(name):
    assert set(load(name).aliases).isdisjoint(NAMES)
    assert all(load(alias).card.name == name for alias in load(name).aliases)


def test_an_unknown_data_set_is_refused_with_the_choices():
    with pytest.raises(UserError, match=re.escape(f"choose from {', '.join(NAMES)}. Did you mean")):
        load("ham1000")


def test_decode_ignores_the_aspect_ratio(tmp_path):
    file = tmp_path / "wide.png"
    pixels = np.zeros((10, 40, 3), dtype=np.uint8)
    pixels[:, 20:] = 255
    Image.fromarray(pixels).save(file)
    image = decode(file, 20)
    assert image.shape == (20, 20, 3)
    assert image[:, :8].max() == 0
    assert image[:, 12:].min() == 255


def test_decode_averages_what_it_shrinks(tmp_path):
    file = tmp_path / "checkers.png"
    pixels = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(pixels).save(file)
    assert np.abs(decode(file, 8).astype(int) - 127).max() <= 6


def test_decode_turns_an_image_upright_as_its_exif_says(tmp_path):
    file = tmp_path / "turned.jpg"
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[:16] = 255  # upper half white
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(file, exif=exif, quality=95)
    image = decode(file, 32)
    assert image[:12].max() < 30
    assert image[20:].min() > 225


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_decode_names_a_file_that_is_no_image(tmp_path, content):
    file = tmp_path / "broken.jpg"
    file.write_bytes(content)
    with pytest.raises(UserError, match="broken.jpg cannot be read"):
        decode(file, 8)


def test_decode_names_a_file_that_was_cut_short(tmp_path):
    file = tmp_path / "short.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(UserError, match="short.jpg cannot be read"):
        decode(file, 8)
