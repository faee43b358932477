import json

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.protocols import cut
from lmd_bench.data.tasks.splits.written import read_written, write_split
from lmd_bench.data.tasks.task import build_task, open_test

SPEC = TaskSpec("made", imbalance_factor=10.0)


def make_table():
    labels = np.repeat(np.arange(3), [300, 120, 60]).astype(np.int64)
    ids = tuple(f"img,{row:03d}" for row in range(480))
    return ImageTable(ids, labels, tuple(f"g{row // 2}" for row in range(480)), ("a", "b", "c"))


def write(folder, spec=SPEC):
    table = make_table()
    write_split(folder, table, cut(table, spec), {"fingerprint": "f"})
    return folder


def test_a_written_split_is_read_back_to_the_same_task(tmp_path):
    table, source = make_table(), DataSource(split_dir=write(tmp_path / "out"))
    first = build_task(table, SPEC, "data")
    again = build_task(table, TaskSpec("made", "official"), "data", source)
    assert again.fingerprint == first.fingerprint
    assert open_test(table, again, "data", source).tolist() == cut(table, SPEC).test.tolist()


def test_each_line_has_image_label_class_and_group(tmp_path):
    lines = (write(tmp_path / "out") / "training.csv").read_text().splitlines()
    assert lines[0] == "image,label,class_name,group"
    row = int(cut(make_table(), SPEC).train[0])
    assert lines[1] == f'"img,{row:03d}",0,a,g{row // 2}'


def test_nothing_else_is_left_beside_the_folder(tmp_path):
    write(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert json.loads((tmp_path / "out" / "split.json").read_text())["fingerprint"] == "f"


def test_writing_the_same_split_again_changes_nothing(tmp_path):
    before = (write(tmp_path / "out") / "testing.csv").stat().st_mtime_ns
    assert (write(tmp_path / "out") / "testing.csv").stat().st_mtime_ns == before


def test_a_folder_with_another_split_is_not_written_over(tmp_path):
    write(tmp_path / "out")
    with pytest.raises(UserError, match="already holds other files"):
        write(tmp_path / "out", TaskSpec("made", imbalance_factor=20.0))


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_changed_file_is_noticed(tmp_path):
    file = write(tmp_path / "out") / "validation.csv"
    file.write_text(file.read_text().replace(",a,", ",b,", 1))
    with pytest.raises(UserError, match=r"validation.csv is not the file that .*split.json"):
        read_written(tmp_path / "out")


def test_names_with_blanks_at_their_ends_come_back(tmp_path):
    labels = np.repeat(np.arange(3), [300, 120, 60]).astype(np.int64)
    ids = tuple(f" c{row % 3} / im {row} " for row in range(480))
    table = ImageTable(ids, labels, ids, (" a", "b ", "c"))
    first = cut(table, SPEC)
    write_split(tmp_path / "out", table, first, {})
    again = cut(table, TaskSpec("made", "official"), DataSource(split_dir=tmp_path / "out"))
    assert [again.train.tolist(), again.test.tolist()] == [
        first.train.tolist(),
        first.test.tolist(),
    ]
