"""Values of files of more than 8 bits, and what `--intensity` makes of them."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmd_bench.core.errors import UserError
from lmd_bench.core.options import from_keywords
from lmd_bench.core.schema import DataSource
from lmd_bench.data.build import source_notes
from lmd_bench.data.datasets import load
from lmd_bench.data.datasets._decode import decode
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.images.values import look_at_values
from lmd_bench.data.intensity import Levels, checked, parse_levels, used_levels
from lmd_bench.data.options import DataOptions


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def flat(folder: Path, value: float, kind: type = np.uint16, ending: str = "png") -> Path:
    """Write an image of one value, 8 px square, and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{len(list(folder.iterdir()))}.{ending}"
    Image.fromarray(np.full((8, 8), value, dtype=kind)).save(file)
    return file


def greys(root: Path, intensity: str) -> tuple[list[int], str, str]:
    """Return the level of each prepared image, the levels taken, and the fingerprint."""
    prepared = prepare("folder", DataSource(root, intensity=intensity), 8)
    pixels = prepared.read(np.arange(len(prepared.table)))
    return pixels[:, 0, 0, 0].tolist(), prepared.intensity, prepared.fingerprint


def test_data_sets_without_the_option_keep_their_fingerprints_and_their_place_in_the_cache(
    tmp_path,
):
    # Both are what the version before the option gave.
    synthetic = prepare("synthetic", DataSource(), 8)
    assert synthetic.folder.name == "synthetic-8px-d8fc37c21758b4142b42"
    assert synthetic.fingerprint == "1f25483bcd367b19b88a"
    for label, name in enumerate("ab"):
        for i in range(4):
            value = np.arange(64, dtype=np.uint16).reshape(8, 8) * 60 + i + 100 * label
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(value).save(tmp_path / name / f"{i}.png")
    assert prepare("folder", DataSource(tmp_path), 8).fingerprint == "f4f1d30ce601d36a2648"


def test_auto_takes_one_range_for_all_images_of_the_set(tmp_path):
    for folder, value in (("a", 0), ("a", 1000), ("b", 3000), ("b", 2047.5)):
        flat(tmp_path / folder, value)
    levels, taken, _ = greys(tmp_path, "auto")
    assert taken == "auto:0,4095"
    # Not each image by its own brightest pixel, which would make all of them white.
    assert levels == [0, 62, 187, 127]


def test_auto_leaves_files_of_eight_bits_as_they_are_and_a_window_does_not(tmp_path):
    flat(tmp_path / "a", 200, np.uint8)
    flat(tmp_path / "b", 200, np.uint16)
    assert greys(tmp_path, "auto")[0] == [200, 200]
    assert greys(tmp_path, "window:100,300")[0] == [128, 128]
    assert greys(tmp_path, "full")[0] == [200, 1]


def test_where_no_file_has_more_than_eight_bits_auto_is_what_it_was(tmp_path):
    for folder in "ab":
        flat(tmp_path / folder, 7, np.uint8)
    assert greys(tmp_path, "auto") == greys(tmp_path, "full")


def test_the_levels_that_are_taken_are_in_the_fingerprint(tmp_path):
    for folder in "ab":
        flat(tmp_path / folder, 0)
    marks = {how: greys(tmp_path, how) for how in ("full", "auto", "window:0,9", "window:0,8")}
    # The pixels are the same: black.
    assert {str(levels) for levels, _, _ in marks.values()} == {"[0, 0]"}
    assert len({fingerprint for _, _, fingerprint in marks.values()}) == 4


@pytest.mark.parametrize(
    ("values", "expected"),
    [((-1000.0, 3000.0), "auto:-1000,3000"), ((0.25, 0.5), "auto:0,1"), ((0.0, 7.5), "auto:0,7.5")],
)
def test_floats_are_read_with_levels_alone(tmp_path, values, expected):
    for folder, value in zip("ab", values, strict=True):
        flat(tmp_path / folder, value, np.float32, "tif")
    with pytest.raises(UserError, match=f"floats from {values[0]:g} to .* --intensity auto"):
        greys(tmp_path, "full")
    assert greys(tmp_path, "auto")[1] == expected


def test_what_is_no_number_is_black(tmp_path):
    file = tmp_path / "x.tif"
    Image.fromarray(np.array([[np.nan, np.inf], [-np.inf, 1.0]], dtype=np.float32)).save(file)
    grey = decode(file, 2, Levels(0.0, 1.0))[..., 0]
    assert grey.tolist() == [[0, 255], [0, 255]]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32])
def test_a_window_is_black_below_white_above_and_even_between(tmp_path, kind):
    file = tmp_path / "x.tif"
    Image.fromarray(np.array([[0, 50], [100, 200]], dtype=kind)).save(file)
    grey = decode(file, 2, Levels(50.0, 150.0))[..., 0]
    assert grey.tolist() == [[0, 0], [128, 255]]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("FULL", "full"),
        (" auto", "auto"),
        ("window:0, 4095", "window:0,4095"),
        ("window:-1000,.5", "window:-1000,0.5"),
    ],
)
def test_an_intensity_has_one_form(text, form):
    assert from_keywords(DataOptions, {"intensity": text}).source().intensity == form


@pytest.mark.parametrize(
    "text", ["", "half", "window", "window:1", "window:2,1", "window:1,nan", "auto:0,9"]
)
def test_another_intensity_is_refused(text):
    with pytest.raises(UserError, match=re.escape("give full (the range of the files' type)")):
        checked(text)


def test_levels_are_read_back_as_written():
    for levels in (Levels(-0.1, 1e9), Levels(0.0, 4095.0, wide_only=True)):
        assert parse_levels(str(levels)) == levels
    assert parse_levels("full") is None


def test_the_bits_in_use_are_eight_at_the_least():
    ranges = {4.0: 255, 255.0: 255, 256.0: 511, 4095.0: 4095, 40000.0: 65535}
    assert {high: used_levels(3.0, high, whole=True).high for high in ranges} == ranges


@pytest.mark.parametrize("name", ["synthetic", "features"])
def test_an_intensity_without_effect_is_refused(name, tmp_path):
    np.savez(tmp_path / "f.npz", ids=["1", "2"], features=np.eye(2), labels=["a", "b"])
    root = tmp_path / "f.npz" if name == "features" else None
    with pytest.raises(UserError, match=f"does not apply to data set '{name}'"):
        prepare(name, DataSource(root, intensity="auto"), 8)


def test_a_note_says_how_many_bits_are_used(tmp_path):
    for folder, value in (("a", 9), ("b", 4000)):
        flat(tmp_path / folder, value)
    (note,) = source_notes(["folder"], DataSource(tmp_path))
    assert "2 files of 16 bits hold values 9 to 4,000, so they use 12 bits" in note
    assert "and 16 of 256 grey levels; --intensity auto" in note
    (note,) = source_notes(["folder"], DataSource(tmp_path, intensity="auto"))
    assert note.endswith("--intensity auto maps them")


def test_files_that_use_all_their_bits_are_no_note(tmp_path):
    flat(tmp_path / "a", 40000)
    flat(tmp_path / "b", 40, np.uint8)
    assert source_notes(["folder"], DataSource(tmp_path)) == []


def test_some_files_stand_for_all_where_a_search_starts(tmp_path):
    files = [flat(tmp_path / "a", 10 * i) for i in range(10)]
    data = load("folder")
    values = look_at_values(data, [(file.stem, file) for file in files], 1, at_most=4)
    assert (values.n_looked_at, values.high) == (4, 90)
    assert values.notes("full")[0].startswith("4 files (of 4 looked at) of 16 bits")


def test_of_a_tiff_of_several_pages_the_first_is_read_and_it_is_said(tmp_path):
    pages = [Image.new("L", (8, 8), value) for value in (10, 200)]
    for folder in "ab":
        (tmp_path / folder).mkdir()
        pages[0].save(tmp_path / folder / "1.tif", save_all=True, append_images=pages[1:])
    assert greys(tmp_path, "full")[0] == [10, 10]
    (note,) = source_notes(["folder"], DataSource(tmp_path))
    assert note == "folder: 2 files have several pages or frames, of which the first is read"
