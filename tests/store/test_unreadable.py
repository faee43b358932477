"""Rows that cannot be read for a moment are not damaged: their trials would run again."""

import errno
from pathlib import Path

import pytest

from lmd_bench.core import files
from lmd_bench.core.errors import BrokenPlaceError
from lmd_bench.store.row_files import newest
from lmd_bench.store.store import open_store
from tests.store.test_results import a_row


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PAUSES", (0.0, 0.0))
    store = open_store(tmp_path, create=True)
    store.write(a_row())
    return store


def refuse(monkeypatch, code, times=1000):
    real, left = Path.read_bytes, [times]

    def read_bytes(self):
        if self.suffix == ".parquet" and left[0] > 0:
            left[0] -= 1
            raise OSError(code, "Stale file handle")
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EACCES, errno.EMFILE])
def test_what_the_system_refuses_is_named_and_no_damage(store, monkeypatch, code):
    refuse(monkeypatch, code)
    for read in (store.rows, store.damaged, lambda: store.get(store.singles()[0].stem)):
        with pytest.raises(BrokenPlaceError, match="cannot be read now"):
            read()


def test_what_comes_back_is_read(store, monkeypatch):
    refuse(monkeypatch, errno.ESTALE, times=2)
    assert len(store.rows()) == 1


def test_bytes_that_are_wrong_are_damage(store):
    (path,) = store.singles()
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 255
    path.write_bytes(data)
    assert store.damaged() == [path]


def test_a_single_file_is_later_than_a_compacted_row_whatever_the_clocks_say(store):
    before = store.scan().table
    again = open_store(store.root)
    again.write({**store.rows()[0], "status": "ok", "finished_at": "1999-01-01T00:00:00+00:00"})
    kept = newest(before, again.scan().table)
    assert kept.num_rows == 1
    assert kept["finished_at"].to_pylist() == ["1999-01-01T00:00:00+00:00"]
