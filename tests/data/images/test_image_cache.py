"""The cache's folders: whole or not there, whatever fails while they are written."""

import errno
import os
import resource
import shutil

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource
from lmd_bench.data.images import cache as _image_cache
from lmd_bench.data.images import decoding as _decoding
from lmd_bench.data.images.prepare import prepare
from tests.raw import image_file, write_seven_greys


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LMD_BENCH_CACHE", str(folder))
    return folder


@pytest.fixture
def root(tmp_path):
    return write_seven_greys(tmp_path / "raw")


def left_in(cache):
    """Return what is in the cache but locks."""
    return [path.name for path in cache.iterdir() if path.suffix != ".lock"]


@pytest.fixture
def small_disk():
    """Let the operating system refuse to write any file beyond 20 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
def test_a_write_that_the_system_refuses_is_a_sentence_and_leaves_nothing(root, cache):
    with pytest.raises(UserError, match="cannot be written to .*cache .*File too large.*free some"):
        prepare("ham10000", DataSource(root), 64)
    assert left_in(cache) == []


@pytest.mark.parametrize("name", ["_write_index", "_write_meta"])
def test_a_disk_that_fills_at_the_last_files_leaves_nothing(root, cache, monkeypatch, name):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_image_cache, name, full)
    with pytest.raises(UserError, match="No space left on device.*set LMD_BENCH_CACHE"):
        prepare("ham10000", DataSource(root), 8)
    assert left_in(cache) == []


def test_too_little_space_is_said_before_anything_is_decoded(root, cache, monkeypatch):
    free = shutil.disk_usage("/")._replace(free=3 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    monkeypatch.setattr(_decoding, "_decode_chunk", None)
    with pytest.raises(UserError, match="20 MiB are needed and 3 MiB are free"):
        prepare("ham10000", DataSource(root), 1000)
    assert left_in(cache) == []


def test_an_interrupted_run_leaves_nothing(root, cache, monkeypatch):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare("ham10000", DataSource(root), 8, progress=interrupt)
    assert left_in(cache) == []


def test_an_image_that_changes_while_it_is_prepared_is_named(root, cache):
    file = image_file(root, "I3")

    def rewrite(done, total):
        file.write_bytes(image_file(root, "I4").read_bytes() + b" ")

    sentence = r"1 of the files in .* changed while they were being prepared, first .*I3\.jpg; run"
    with pytest.raises(UserError, match=sentence):
        prepare("ham10000", DataSource(root), 8, progress=rewrite)
    assert left_in(cache) == []
    assert len(prepare("ham10000", DataSource(root), 8).table) == 7


def test_a_csv_that_changes_while_images_are_prepared_is_named(root, cache):
    csv = root / "HAM10000_metadata.csv"

    def relabel(done, total):
        csv.write_text(csv.read_text().replace("I0,akiec", "I0,bcc"))

    with pytest.raises(UserError, match="first HAM10000_metadata.csv; run the same command"):
        prepare("ham10000", DataSource(root), 8, progress=relabel)
    assert left_in(cache) == []


def test_a_folder_without_permission_is_named(root, monkeypatch):
    scandir = os.scandir

    def forbidden(path):
        if str(path).startswith(str(root)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)  # by injection: root may list every folder
    with pytest.raises(UserError, match="Permission denied: '.*images_part_1'.*mend their perm"):
        prepare("ham10000", DataSource(root), 8)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_named(root):
    (root / "HAM10000_images_part_1").chmod(0)
    with pytest.raises(UserError, match="Permission denied: '.*images_part_1'"):
        prepare("ham10000", DataSource(root), 8)
    (root / "HAM10000_images_part_1").chmod(0o700)


def test_what_a_killed_run_left_of_other_data_is_swept_unless_it_is_being_written(root, cache):
    dead, living = (cache / f"other-8px-{name}.partial" for name in ("dead", "living"))
    for folder in (dead, living):
        folder.mkdir(parents=True)
    with _image_cache.locked(cache / "other-8px-living"):
        prepare("ham10000", DataSource(root), 8)
    assert not dead.exists()
    assert living.exists()


def test_mapped_pixels_are_shared_and_a_write_to_them_reaches_no_file(root):
    prepared = prepare("ham10000", DataSource(root), 8)
    mapped = prepared.mapped()
    assert isinstance(mapped.base, np.memmap)
    mapped[0] = 255
    assert prepared.mapped()[0].max() < 20
