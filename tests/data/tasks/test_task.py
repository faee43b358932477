from dataclasses import fields, replace

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.data.table import ImageTable, hashed_groups, own_group
from lmd_bench.data.tasks import task as task_module
from lmd_bench.data.tasks.protocols import cut
from lmd_bench.data.tasks.split import Split
from lmd_bench.data.tasks.task import build_task, open_test

SPEC = TaskSpec("made", imbalance_factor=10.0)


def make_table():
    labels = np.repeat(np.arange(3), [300, 120, 60]).astype(np.int64)
    ids = tuple(f"img{row:03d}" for row in range(480))
    return ImageTable(ids, labels, ids, ("a", "b", "c"))


def test_a_task_holds_train_and_val_of_its_protocol_with_counts_and_groups():
    table = make_table()
    task, split = build_task(table, SPEC, "data"), cut(table, SPEC)
    assert task.train.tolist() == split.train.tolist()
    assert task.val.tolist() == split.val.tolist()
    assert task.class_counts == (200, 63, 20)  # 300 - 24 rounded to 200; 200 / sqrt(10); 200 / 10
    assert task.groups == ("many", "medium", "few")


def test_a_task_carries_no_test_index():
    table = make_table()
    task = build_task(table, SPEC, "data")
    test = set(cut(table, SPEC).test.tolist())
    arrays = [value for f in fields(task) if isinstance(value := getattr(task, f.name), np.ndarray)]
    assert len(arrays) == 2
    assert all(test.isdisjoint(array.tolist()) for array in arrays)


def test_open_test_gives_the_test_rows_of_the_protocol():
    table = make_table()
    task = build_task(table, SPEC, "data")
    assert open_test(table, task, "data").tolist() == cut(table, SPEC).test.tolist()


def test_open_test_refuses_images_that_changed_since():
    table = make_table()
    task = build_task(table, SPEC, "data")
    with pytest.raises(UserError, match="images or split files differ"):
        open_test(table, task, "other data")


def test_the_fingerprint_is_the_same_for_the_same_data_and_spec():
    fingerprints = {build_task(make_table(), SPEC, "data").fingerprint for _ in range(2)}
    assert len(fingerprints) == 1


@pytest.mark.parametrize(
    "change", [{"split_seed": 1}, {"imbalance_factor": 20.0}, {"image_size": 32}]
)
def test_the_fingerprint_changes_with_what_shapes_the_task(change):
    table = make_table()
    changed = build_task(table, replace(SPEC, **change), "data")
    assert changed.fingerprint != build_task(table, SPEC, "data").fingerprint


def test_the_fingerprint_changes_with_the_id_of_a_single_test_image():
    table = make_table()
    row = int(cut(table, SPEC).test[0])
    ids = (*table.image_ids[:row], "renamed", *table.image_ids[row + 1 :])
    renamed = build_task(replace(table, image_ids=ids), SPEC, "data")
    assert renamed.fingerprint != build_task(table, SPEC, "data").fingerprint


def test_a_class_absent_from_val_is_refused(monkeypatch):
    rows = np.array([0, 300, 420], dtype=np.int64)
    split = Split(train=rows, val=rows[:2], test=rows)
    monkeypatch.setattr(task_module, "cut", lambda table, spec, source: split)
    with pytest.raises(UserError, match="Class c has no image in val"):
        build_task(make_table(), SPEC, "data")


def test_groups_are_hashed_with_the_fingerprint_and_an_image_of_its_own_has_none():
    labels = np.zeros(3, dtype=np.int64)
    table = ImageTable(("a", "b", "c"), labels, ("patient 7", "patient 7", own_group("c")), ("k",))

    first, other = (hashed_groups(table, table.image_ids, salt) for salt in ("data", "others"))

    assert first.keys() == {"a", "b"}
    assert first["a"] == first["b"] != other["a"]
    assert "patient" not in first["a"]
    assert hashed_groups(table, {"b"}, "data") == {"b": first["b"]}
