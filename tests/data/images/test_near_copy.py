"""Prepared images on a network file system are read from a copy on the node's own disk."""

import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.core.schema import DataSource
from lmd_bench.data.images import near_copy
from lmd_bench.data.images.near_copy import file_system, with_near_copy
from lmd_bench.data.images.prepare import PreparedImages, prepare

Usage = namedtuple("Usage", "total used free")
MOUNTS = r"""22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw
31 30 8:2 / /home/me/scratch rw - xfs /dev/sdb rw
32 22 0:41 / /my\040data rw - lustre mds:/fs rw
33 22 0:42 / /tmp rw - ext4 /dev/sdc rw
34 22 0:43 / /tmp rw - tmpfs tmpfs rw
"""


def test_the_file_system_of_a_path_is_that_of_the_nearest_mount(tmp_path: Path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    kinds = {"/": "ext4", "/home/me/x": "nfs4", "/home/me/scratch/x": "xfs", "/homework": "ext4"}
    kinds |= {"/my data/x": "lustre", "/tmp/x": "tmpfs"}
    assert {path: file_system(Path(path), mounts) for path in kinds} == kinds
    assert file_system(tmp_path, tmp_path / "absent") == ""


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedImages:
    """Return images in a cache on NFS; the node's own disk is `tmp_path / "disk"`."""
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LMD_BENCH_LOCAL", str(tmp_path / "disk"))
    images = prepare("synthetic", DataSource(), 8)

    def kind(path: Path) -> str:
        return "nfs4" if path.is_relative_to(tmp_path / "cache") else "ext4"

    monkeypatch.setattr(near_copy, "file_system", kind)
    return images


def copies(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "disk").rglob("*.npy"))


def test_pixels_are_copied_once_and_read_from_there(
    prepared: PreparedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    near = with_near_copy(prepared)
    (copy,) = copies(tmp_path)
    assert near.near == copy.parent
    assert near.folder == prepared.folder  # features lie beside the cache's
    np.testing.assert_array_equal(near.mapped(), prepared.mapped())
    monkeypatch.setattr(shutil, "copyfile", None)
    assert with_near_copy(prepared).near == near.near
    prepared.array.rename(tmp_path / "away")
    assert len(near.read(np.arange(3))) == 3


def test_a_copy_that_was_cut_short_is_made_anew(prepared: PreparedImages, tmp_path: Path):
    with_near_copy(prepared)
    (copy,) = copies(tmp_path)
    copy.write_bytes(copy.read_bytes()[:100])
    np.testing.assert_array_equal(with_near_copy(prepared).mapped(), prepared.mapped())


def full(path: Path) -> Usage:
    return Usage(1, 1, 0)


def another(path: Path) -> str:
    return "nfs4"


def own_disk(path: Path) -> str:
    return "ext4"


def memory(path: Path) -> str:
    return "nfs4" if "cache" in path.parts else "tmpfs"


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        (near_copy, "file_system", own_disk),
        (near_copy, "file_system", another),
        (near_copy, "file_system", memory),
        (shutil, "disk_usage", full),
        (os, "getuid", lambda: -1),
    ],
    ids=["the cache is near", "all is far", "only memory is near", "no room", "another person's"],
)
def test_elsewhere_the_cache_itself_is_read(
    where, name: str, value, prepared: PreparedImages, tmp_path: Path, monkeypatch
):
    monkeypatch.delenv("LMD_BENCH_LOCAL")
    monkeypatch.setattr(near_copy.tempfile, "gettempdir", lambda: str(tmp_path / "disk"))
    monkeypatch.setattr(where, name, value)
    assert with_near_copy(prepared).near is None
    assert copies(tmp_path) == []


def test_memory_is_taken_where_a_person_says_so(prepared: PreparedImages, monkeypatch):
    monkeypatch.setattr(near_copy, "file_system", memory)
    assert with_near_copy(prepared).near is not None
