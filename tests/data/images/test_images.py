import json
import multiprocessing
import os
import time

import numpy as np
import pytest
from PIL import Image

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource
from lmd_bench.data.images import decoding as _decoding
from lmd_bench.data.images import prepare as images
from lmd_bench.data.images.prepare import prepare
from tests.raw import CLASSES, image_file, write_seven_greys


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LMD_BENCH_CACHE", str(folder))
    return folder


@pytest.fixture
def root(tmp_path):
    return write_seven_greys(tmp_path / "raw")


def all_pixels(prepared):
    return prepared.read(np.arange(len(prepared.table), dtype=np.int64))


def test_prepared_images_hold_the_table_and_the_pixels_in_one_order(root):
    prepared = prepare("ham10000", DataSource(root), 8)
    assert prepared.table.image_ids == tuple(f"I{i}" for i in range(7))
    assert prepared.table.groups == tuple(f"L{i}" for i in range(7))
    assert prepared.table.class_names == CLASSES
    greys = all_pixels(prepared).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(greys, [10, 20, 30, 40, 50, 60, 70], atol=1)


def test_read_gives_a_writable_copy_in_the_order_asked_for(root):
    prepared = prepare("ham10000", DataSource(root), 8)
    pixels = prepared.read(np.array([3, 1], dtype=np.int64))
    assert pixels.shape == (2, 8, 8, 3)
    assert pixels[0].mean() > pixels[1].mean()
    pixels[:] = 0
    assert all_pixels(prepared).min() > 0


def test_a_second_call_decodes_nothing(root, monkeypatch):
    first = prepare("ham10000", DataSource(root), 8)
    monkeypatch.setattr(images, "decode_all", None)
    second = prepare("ham10000", DataSource(root), 8)
    assert second.folder == first.folder
    assert second.fingerprint == first.fingerprint
    assert second.table.labels.tolist() == first.table.labels.tolist()


def test_two_threads_give_what_one_gives(root, monkeypatch, tmp_path):
    alone = prepare("ham10000", DataSource(root), 8)
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(_decoding, "_CHUNK", 3)
    together = prepare("ham10000", DataSource(root), 8, n_threads=2)
    assert together.fingerprint == alone.fingerprint
    np.testing.assert_array_equal(all_pixels(together), all_pixels(alone))


def test_progress_counts_up_to_all_images(root, monkeypatch):
    monkeypatch.setattr(_decoding, "_CHUNK", 3)
    seen = []
    prepare(
        "ham10000", DataSource(root), 8, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_a_changed_image_file_is_noticed(root):
    before = prepare("ham10000", DataSource(root), 8)
    Image.new("RGB", (20, 15), (200, 0, 0)).save(image_file(root, "I0"))
    after = prepare("ham10000", DataSource(root), 8)
    assert after.fingerprint != before.fingerprint
    assert all_pixels(after)[0, ..., 0].min() > 190


def test_a_changed_label_is_noticed(root):
    before = prepare("ham10000", DataSource(root), 8)
    csv = root / "HAM10000_metadata.csv"
    csv.write_text(csv.read_text().replace("I0,akiec", "I0,bcc"))
    assert prepare("ham10000", DataSource(root), 8).fingerprint != before.fingerprint


def test_the_fingerprint_is_of_the_content_not_of_the_place(root, tmp_path):
    moved = tmp_path / "moved"
    before = prepare("ham10000", DataSource(root), 8)
    root.rename(moved)
    assert prepare("ham10000", DataSource(moved), 8).fingerprint == before.fingerprint


def test_missing_images_are_counted_and_the_first_is_named(root):
    image_file(root, "I2").unlink()
    image_file(root, "I5").unlink()
    sentence = (
        r"2 of 7 images listed in HAM10000_metadata.csv are missing from .*, first I2; --allow"
    )
    with pytest.raises(UserError, match=sentence):
        prepare("ham10000", DataSource(root), 8)


def test_allow_missing_goes_on_with_those_present(root):
    image_file(root, "I2").unlink()
    prepared = prepare("ham10000", DataSource(root, allow_missing=True), 8)
    assert prepared.n_missing == 1
    assert prepared.table.image_ids == ("I0", "I1", "I3", "I4", "I5", "I6")
    assert prepared.table.labels.tolist() == [0, 1, 3, 4, 5, 6]
    np.testing.assert_allclose(all_pixels(prepared)[2], 40, atol=1)


def test_no_image_at_all_is_refused_even_with_allow_missing(root):
    for i in range(7):
        image_file(root, f"I{i}").unlink()
    with pytest.raises(UserError, match="7 of 7 images .* Download HAM10000"):
        prepare("ham10000", DataSource(root, allow_missing=True), 8)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_unreadable_image_is_named_and_nothing_looks_complete(root, cache, n_threads):
    image_file(root, "I4").write_bytes(b"not a picture")
    sentence = r"1 of 7 images of data set 'ham10000' cannot be read: .*I4\.jpg \(it is no image"
    with pytest.raises(UserError, match=sentence):
        prepare("ham10000", DataSource(root, allow_missing=True), 8, n_threads=n_threads)
    assert not [path for path in cache.iterdir() if path.suffix != ".lock"]


def test_a_half_written_folder_of_a_killed_run_is_ignored(root, cache):
    folder = prepare("ham10000", DataSource(root), 8).folder
    partial = folder.with_name(f"{folder.name}.partial")
    folder.rename(partial)
    (partial / "images.npy").write_bytes(b"half")
    prepared = prepare("ham10000", DataSource(root), 8)
    np.testing.assert_allclose(all_pixels(prepared)[6], 70, atol=1)
    assert not partial.exists()


@pytest.mark.parametrize("name", ["images.npy", "index.parquet", "meta.json"])
def test_a_file_of_the_cache_that_was_cut_short_is_prepared_anew(root, name):
    prepared = prepare("ham10000", DataSource(root), 8)
    file = prepared.folder / name
    file.write_bytes(file.read_bytes()[:-20])
    assert prepare("ham10000", DataSource(root), 8).fingerprint == prepared.fingerprint
    assert json.loads((prepared.folder / "meta.json").read_text())["n_images"] == 7


def prepare_slowly(root, notes):
    """Prepare in another process, leaving a note where it decodes."""
    decode = _decoding._decode_chunk

    def slow(*arguments):
        (notes / str(os.getpid())).write_text("decoding")
        time.sleep(0.5)
        return decode(*arguments)

    _decoding._decode_chunk = slow
    prepare("ham10000", DataSource(root), 8)


def start(n_runs, root, notes):
    notes.mkdir()
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=prepare_slowly, args=(root, notes)) for _ in range(n_runs)]
    for run in runs:
        run.start()
    return runs


def test_two_runs_at_once_decode_once(root, tmp_path):
    runs = start(2, root, tmp_path / "notes")
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    assert len(list((tmp_path / "notes").iterdir())) == 1


def test_a_run_that_was_killed_holds_no_lock_and_leaves_nothing_that_looks_complete(
    root, tmp_path, cache
):
    (run,) = start(1, root, tmp_path / "notes")
    while not list((tmp_path / "notes").iterdir()):
        time.sleep(0.02)
    run.kill()
    run.join()
    assert list(cache.glob("*.partial"))
    assert not [file for file in cache.glob("*/meta.json") if file.parent.suffix != ".partial"]
    assert len(prepare("ham10000", DataSource(root), 8).table) == 7
    assert not list(cache.glob("*.partial"))


@pytest.mark.parametrize("size", [0, 7, 5000])
def test_an_image_size_out_of_range_is_refused(root, size):
    with pytest.raises(UserError, match=f"Image size {size} is not allowed; give 8 to 1024"):
        prepare("ham10000", DataSource(root), size)


def test_a_cache_that_cannot_be_written_is_named(root, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set LMD_BENCH_CACHE to another folder"):
        prepare("ham10000", DataSource(root), 8)


def test_the_data_folder_defaults_to_the_environment(root, monkeypatch, tmp_path):
    root.rename(tmp_path / "ham10000")
    monkeypatch.setenv("LMD_BENCH_DATA", str(tmp_path))
    assert len(prepare("ham10000", DataSource(), 8).table) == 7


def test_synthetic_is_drawn_without_any_folder(monkeypatch):
    monkeypatch.delenv("LMD_BENCH_DATA", raising=False)
    prepared = prepare("synthetic", DataSource(), 8)
    assert all_pixels(prepared).shape == (len(prepared.table), 8, 8, 3)


@pytest.mark.real
def test_ham10000_prepares_whole_and_opens_again_within_a_second(shared_data):
    root = shared_data / "ham10000"
    first = prepare("ham10000", DataSource(root), 32, n_threads=2)
    counts = np.bincount(first.table.labels).tolist()
    assert counts == [327, 514, 1099, 115, 1113, 6705, 142]
    start = time.perf_counter()
    prepare("ham10000", DataSource(root), 32)
    assert time.perf_counter() - start < 1
