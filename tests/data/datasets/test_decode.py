"""Image files of every kind, made on the spot: what they become, and which are refused."""

import re
import struct
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from lmd_bench.data.datasets import _decode
from lmd_bench.data.datasets._decode import UnreadableImageError, decode

RED = (255, 0, 0)


def colours(file, size=8):
    """Return the distinct colours of a decoded image."""
    return {tuple(int(v) for v in pixel) for pixel in decode(file, size).reshape(-1, 3)}


def saved(image, file, **settings):
    image.save(file, **settings)
    return file


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    for value, expected in ((0, 0), (257, 1), (32896, 128), (65535, 255)):
        grey = Image.fromarray(np.full((16, 16), value, dtype=np.uint16))
        assert colours(saved(grey, tmp_path / "grey.png")) == {(expected,) * 3}


def test_cmyk_becomes_rgb_at_each_draft_scale(tmp_path):
    file = saved(Image.new("CMYK", (128, 128), (0, 255, 255, 0)), tmp_path / "cmyk.jpg")
    for size in (8, 32, 128):
        np.testing.assert_allclose(decode(file, size).reshape(-1, 3).mean(axis=0), RED, atol=3)


@pytest.mark.parametrize(
    ("mode", "colour"), [("RGBA", (255, 255, 255, 0)), ("LA", (255, 0)), ("PA", (0, 0))]
)
def test_what_is_transparent_lies_on_black(tmp_path, mode, colour):
    image = Image.new("RGBA" if mode == "PA" else mode, (8, 8))
    image.paste(colour if mode != "PA" else (255, 255, 255, 0), (0, 0, 8, 8))
    assert colours(saved(image.convert(mode), tmp_path / f"{mode}.tiff")) == {(0, 0, 0)}


def test_half_opaque_red_is_half_as_bright(tmp_path):
    file = saved(Image.new("RGBA", (8, 8), (*RED, 128)), tmp_path / "half.png")
    assert colours(file) == {(128, 0, 0)}


def test_a_palette_shows_its_colours_and_its_transparent_entry_is_black(tmp_path):
    image = Image.new("P", (8, 8))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (4, 0, 8, 8))
    assert colours(saved(image, tmp_path / "plain.png")) == {(10, 20, 30), (200, 100, 50)}
    clear = saved(image, tmp_path / "clear.png", transparency=0)
    assert colours(clear) == {(0, 0, 0), (200, 100, 50)}


def test_bilevel_and_grey_become_three_equal_channels(tmp_path):
    assert colours(saved(Image.new("1", (8, 8), 1), tmp_path / "one.png")) == {(255, 255, 255)}
    assert colours(saved(Image.new("L", (8, 8), 77), tmp_path / "grey.png")) == {(77, 77, 77)}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_come_out_upright(tmp_path, orientation):
    upright = np.zeros((16, 16, 3), dtype=np.uint8)
    upright[:8, :8], upright[:8, 8:] = 255, 100  # white, grey; black below
    back = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }.get(orientation, lambda a: a)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(back(upright)))
    file = saved(stored, tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(decode(file, 16), upright)


@pytest.mark.parametrize("orientation", [0, 9, 700])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    file = saved(Image.fromarray(pixels), tmp_path / "odd.png", exif=exif)
    np.testing.assert_array_equal(decode(file, 8)[..., 0], pixels)


@pytest.mark.parametrize(
    "block",
    [b"Exif\x00\x00", b"Exif\x00\x00nonsense", b"Exif\x00\x00II*\x00" + struct.pack("<IH", 8, 40)],
)
def test_a_damaged_exif_block_turns_nothing_and_warns_of_nothing(tmp_path, block):
    file = saved(Image.new("RGB", (16, 16), (90, 90, 90)), tmp_path / "odd.jpg", exif=block)
    assert colours(file) == {(90, 90, 90)}


def test_two_threads_that_overlap_leave_the_filters_of_warnings_as_they_were(tmp_path, monkeypatch):
    file = saved(Image.new("RGB", (16, 16)), tmp_path / "plain.png")
    inside, first_left = threading.Barrier(2), threading.Event()
    square = _decode.square

    def overlap(image, size):
        inside.wait(10)
        if threading.current_thread() is second:
            first_left.wait(10)
        return square(image, size)

    monkeypatch.setattr(_decode, "square", overlap)
    before = list(warnings.filters)
    first, second = (threading.Thread(target=decode, args=(file, 8)) for _ in range(2))
    first.start()
    second.start()
    first.join()
    first_left.set()
    second.join()
    assert warnings.filters == before


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    file = tmp_path / "empty.jpg"
    file.touch()
    with pytest.raises(UnreadableImageError, match=r"empty\.jpg cannot be read \(it is empty\)"):
        decode(file, 8)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_file_cut_anywhere_before_its_last_twentieth_is_refused(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    whole = saved(Image.fromarray(noise), tmp_path / f"whole.{ending}").read_bytes()
    file = tmp_path / f"short.{ending}"
    for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UnreadableImageError, match=rf"short\.{ending} cannot be read"):
            decode(file, 48)


@pytest.mark.parametrize("values", [np.float32(0.5), np.int32(70000)])
def test_pixels_of_32_bits_have_no_fixed_range_and_are_refused(tmp_path, values):
    file = saved(Image.fromarray(np.full((8, 8), values)), tmp_path / "deep.tiff")
    with pytest.raises(UnreadableImageError, match="32 bits, .*; only 8 and 16 are read"):
        decode(file, 8)


def test_a_picture_too_large_to_be_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    file = saved(Image.new("L", (16, 16)), tmp_path / "bomb.png")
    with pytest.raises(
        UnreadableImageError, match=re.escape("bomb.png cannot be read (Image size")
    ):
        decode(file, 8)


def test_a_file_without_permission_is_named_with_the_reason(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", forbidden)  # by injection: root may read every file
    with pytest.raises(UnreadableImageError, match=r"x\.jpg cannot be read \(Permission denied\)"):
        decode(tmp_path / "x.jpg", 8)
