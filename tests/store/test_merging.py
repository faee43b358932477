"""Stores of several sites in one: nothing lost, nothing doubled, nothing overwritten."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.studies.group import ablated_studies
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.compaction import compact
from lmd_bench.store.differences import logit_differences
from lmd_bench.store.gathering import gather
from lmd_bench.store.merging import describe_tasks, merge
from lmd_bench.store.reproductions import (
    Record,
    fitting_records,
    logits_hash,
    row_hash,
    write_record,
)
from lmd_bench.store.rows import Row
from lmd_bench.store.store import Store, open_store
from tests.leaderboard.conftest import _row as made
from tests.store.test_results import a_row


def site(root: Path, rows: list[Row], shift: float = 0.0) -> Path:
    store = open_store(root, create=True)
    for row in rows:
        store.write(row, [(f"patient-{row['seed']}", "val", 0, [row["seed"] + shift, 0.0])])
    return root


def rows_of(*seeds: int, **measured: Any) -> list[Row]:
    return [a_row(seed, val_balanced_accuracy=seed / 8, **measured) for seed in seeds]


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def same_logits(one: Store, other: Store, key: str) -> bool:
    return bool((one.read_logits(key)["val"][2] == other.read_logits(key)["val"][2]).all())


@pytest.mark.parametrize("gathered", [False, True])
def test_rows_of_two_sites_and_their_logits_come_together(tmp_path: Path, gathered: bool) -> None:
    a = site(tmp_path / "a", rows_of(0, 1))
    b = site(tmp_path / "b", rows_of(1, 2))
    if gathered:
        compact(a)

    first, second = merge([a, b], tmp_path / "all")

    assert (first.n_rows, first.n_new, first.conflicts) == (2, 2, ())
    assert (second.n_rows, second.n_new, second.conflicts) == (2, 1, ())
    store = open_store(tmp_path / "all")
    assert store.rows() == rows_of(0, 1, 2)
    assert all(same_logits(store, open_store(a), row["key"]) for row in rows_of(0, 1))
    assert same_logits(store, open_store(b), a_row(2)["key"])


def test_a_second_merge_changes_nothing(tmp_path: Path) -> None:
    a = site(tmp_path / "a", rows_of(0, 1))
    b = site(tmp_path / "b", [{**rows_of(1)[0], "val_balanced_accuracy": 0.5}])
    merge([a, b], tmp_path / "all")
    before = contents(tmp_path / "all")

    arrivals = merge([a, b], tmp_path / "all")

    assert contents(tmp_path / "all") == before
    assert [arrival.n_new for arrival in arrivals] == [0, 0]
    assert len(arrivals[1].conflicts) == 1


def test_another_value_is_set_aside_with_the_size_of_the_difference(tmp_path: Path, capsys) -> None:
    a = site(tmp_path / "a", rows_of(3))
    other = {**rows_of(3)[0], "val_balanced_accuracy": 0.5, "val_macro_f1": 0.25}
    b = site(tmp_path / "b", [other], shift=1.0)

    folders = [str(a), str(b), "--into", str(tmp_path / "all")]
    assert app(["merge", *folders], standalone_mode=False) == 1

    store = open_store(tmp_path / "all")
    assert store.rows() == rows_of(3)  # the first stays
    (file,) = (tmp_path / "all" / "conflicts").glob("*[0-9a-f].parquet")
    (row,) = pq.read_table(file).to_pylist()
    assert row == other
    assert file.with_suffix(".logits.parquet").exists()
    printed = capsys.readouterr().out
    assert "1 rows, 0 new, 0 already there, 1 with another value" in printed
    assert f"{other['key']} (crt, search, seed 3) differs by at most 0.125 (val_bala" in printed
    assert "set aside as conflicts/" in printed


def test_what_a_run_cost_and_where_it_ran_is_no_other_value(tmp_path: Path) -> None:
    a = site(tmp_path / "a", rows_of(1))
    b = site(tmp_path / "b", rows_of(1, seconds=9.0, device="H100", val_macro_f1=None))
    assert [len(arrival.conflicts) for arrival in merge([a, b], tmp_path / "all")] == [0, 0]


def test_other_logits_or_another_end_are_another_value(tmp_path: Path) -> None:
    a = site(tmp_path / "a", rows_of(1, 2))
    failed = {**rows_of(2)[0], "status": "diverged", "val_balanced_accuracy": None}
    b = site(tmp_path / "b", rows_of(1), shift=0.5)
    c = site(tmp_path / "c", [failed])

    _, second, third = merge([a, b, c], tmp_path / "all")

    assert second.conflicts[0].details == ("val logits: they differ by at most 0.5",)
    assert second.conflicts[0].score == ""
    assert third.conflicts[0].details[0] == 'status: "ok" there, "diverged" here'


def test_logits_that_are_missing_are_added(tmp_path: Path) -> None:
    a, b = site(tmp_path / "a", rows_of(1)), site(tmp_path / "b", rows_of(1))
    key = rows_of(1)[0]["key"]
    open_store(a).logits_file(key).unlink()

    merge([a, b], tmp_path / "all")

    assert same_logits(open_store(tmp_path / "all"), open_store(b), key)


def judged(root: Path, row: Row, *splits: str) -> Store:
    """Return a store of one row, whose logits are on some splits."""
    store = open_store(root, create=True)
    store.write(row, [(f"of {split}", split, 0, [1.0, 0.0], "group") for split in splits])
    return store


@pytest.mark.parametrize("gathered", [False, True])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_splits_that_are_missing_are_added_in_either_order(
    tmp_path: Path, order: str, gathered: bool
) -> None:
    (row,) = rows_of(1)
    whole = judged(tmp_path / "a", row, "val", "test")
    judged(tmp_path / "b", row, "test")
    if gathered:
        gather(tmp_path / "b")

    arrivals = merge([tmp_path / name for name in order], tmp_path / "all")

    assert [len(arrival.conflicts) for arrival in arrivals] == [0, 0]
    store = open_store(tmp_path / "all")
    assert logit_differences(whole.read_logits(row["key"]), store.read_logits(row["key"])) == []
    assert store.read_groups(row["key"]) == {"val": ("group",), "test": ("group",)}


def test_other_logits_of_a_split_that_both_have_are_another_value(tmp_path: Path) -> None:
    (row,) = rows_of(1)
    judged(tmp_path / "a", row, "val", "test")
    b = judged(tmp_path / "b", row)
    b.write(row, [("of test", "test", 0, [1.5, 0.0])])

    _, second = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")

    assert second.conflicts[0].details == ("test logits: they differ by at most 0.5",)


def test_no_split_is_added_to_logits_that_a_record_speaks_of(tmp_path: Path) -> None:
    (row,) = rows_of(1)
    judged(tmp_path / "a", row, "val", "test")
    part = judged(tmp_path / "b", row, "test")
    told = logits_hash(part.read_logits(row["key"]), row["task_fingerprint"])
    hashes = (row_hash(row), told) * 2
    record = Record(row["key"], "bit-equal", *hashes, (), (), "cpu", "0", None, "t")
    write_record(part.root, record)

    merge([part.root, tmp_path / "a"], tmp_path / "all")

    assert fitting_records(tmp_path / "all", open_store(tmp_path / "all")) == [record]


def test_a_row_that_is_damaged_in_the_target_arrives_anew(tmp_path: Path) -> None:
    rows = rows_of(0, 1)
    a, into = site(tmp_path / "a", rows), site(tmp_path / "all", rows)
    file = open_store(into).trial_file(rows[0]["key"])
    column = COLUMNS.get_field_index("config_json")
    place = pq.read_metadata(file).row_group(0).column(column)
    assert place.path_in_schema == "config_json"
    content = bytearray(file.read_bytes())
    content[place.data_page_offset + place.total_compressed_size - 1] ^= 255
    file.write_bytes(content)
    assert open_store(into).damaged() == [file]

    (arrival,) = merge([a], into)

    assert (arrival.n_new, arrival.conflicts) == (1, ())
    assert open_store(into).rows() == rows
    (again,) = merge([a], into)
    assert (again.n_new, again.conflicts) == (0, ())


def test_private_keeps_counts_and_metrics_and_nothing_of_the_site(tmp_path: Path) -> None:
    rows = rows_of(
        0, n_val=119, class_counts=[9, 1], class_names=["a", "b"], groups=["many", "few"]
    )
    rows += rows_of(1, status="error", cause="OSError: no file /home/someone/scan.png")
    rows += rows_of(2, status="lost", cause="/home/someone died")
    rows = [{**row, "command": "lmd-bench search --data-root /home/someone"} for row in rows]
    a = site(tmp_path / "a", rows)
    different = {**rows[0], "val_balanced_accuracy": 0.875}
    b = site(tmp_path / "b", [different])

    merge([a, b], tmp_path / "all", private=True)

    found = open_store(tmp_path / "all").rows()
    assert found[0] == {**rows[0], "command": "", "val_counts": [1, 0]}
    assert [row["cause"] for row in found] == ["", "OSError", ""]
    assert list((tmp_path / "all" / "logits").iterdir()) == []
    for path in (tmp_path / "all").rglob("*.parquet"):
        text = str(pq.read_table(path).to_pylist()) + str(pq.read_metadata(path).metadata)
        assert "someone" not in text
        assert "patient" not in text
    (aside,) = (tmp_path / "all" / "conflicts").iterdir()
    assert pq.read_table(aside).to_pylist() == [{**different, "command": "", "val_counts": [1, 0]}]


@pytest.mark.parametrize("private", [False, True])
def test_the_cells_of_an_ablation_stay_cells(tmp_path: Path, private: bool) -> None:
    a = site(tmp_path / "a", rows_of(0))
    study = rows_of(0)[0]["study"]
    record = {"tasks": [{"studies": {"ce": study}}], "command": "lmd-bench ablate /home/someone"}
    (a / "ablations").mkdir()
    (a / "ablations" / "lmd-rows-0a.json").write_text(json.dumps(record))

    merge([a], tmp_path / "all", private=private)

    assert ablated_studies(tmp_path / "all") == {study}
    (copy,) = (tmp_path / "all" / "ablations").iterdir()
    assert ("someone" in copy.read_text()) is not private
    copy.write_text("{}")
    merge([a], tmp_path / "all", private=private)
    assert copy.read_text() == "{}"  # what was there first stays


class KilledError(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("moment", range(1, 9))
def test_killed_half_way_the_same_merge_goes_on(
    tmp_path: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = site(tmp_path / "a", rows_of(0, 1)), site(tmp_path / "b", rows_of(1, 2))
    open_store(tmp_path / "all", create=True)
    calls = 0
    replace = os.replace

    def counted(*arguments):
        nonlocal calls
        calls += 1
        if calls == moment:
            raise KilledError
        return replace(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", counted)
        killed = False
        try:
            merge([a, b], tmp_path / "all")
        except KilledError:
            killed = True
    assert killed == (moment <= 5)  # two logits and rows of a, one and rows of b

    merge([a, b], tmp_path / "all")
    store = open_store(tmp_path / "all")
    assert store.rows() == rows_of(0, 1, 2)
    assert all(store.read_logits(row["key"]) for row in store.rows())
    assert not (tmp_path / "all" / "conflicts").exists()


def test_damaged_rows_are_left_out_and_named(tmp_path: Path, capsys) -> None:
    a = site(tmp_path / "a", rows_of(0, 1))
    open_store(a).trial_file(rows_of(1)[0]["key"]).write_bytes(b"PAR1")
    app(["merge", str(a), "--into", str(tmp_path / "all")], standalone_mode=False)
    assert "left out, cannot be read" in capsys.readouterr().out
    assert open_store(tmp_path / "all").rows() == rows_of(0)


def test_tasks_of_other_fingerprints_stay_apart_and_are_named(tmp_path: Path) -> None:
    one = made("crt", val_balanced_accuracy=0.5)
    other = {**made("lws", val_balanced_accuracy=0.5), "task_fingerprint": "fedcba98"}
    lines = describe_tasks(open_store(site(tmp_path, [one, other])))
    assert lines == [
        "task toy · balanced · IF 100 · 32 px · 01234567: 1 row",
        "task toy · balanced · IF 100 · 32 px · fedcba98: 1 row",
        "  these 2 differ in their images or splits, so they stay apart",
    ]


def test_a_folder_that_is_named_twice_or_holds_later_rows_is_refused(tmp_path: Path) -> None:
    a = site(tmp_path / "a", rows_of(0))
    with pytest.raises(UserError, match="named twice"):
        merge([a], a)
    with pytest.raises(UserError, match="There are no results"):
        merge([tmp_path / "none"], tmp_path / "all")
    path = open_store(a).trial_file(rows_of(0)[0]["key"])
    pq.write_table(pq.read_table(path).append_column("later", [["x"]]), path)
    with pytest.raises(UserError, match="rows of a later lmd-bench"):
        merge([a], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_the_command_exits_with_1_on_another_value(tmp_path: Path) -> None:
    a, b = site(tmp_path / "a", rows_of(1)), site(tmp_path / "b", rows_of(1), shift=1.0)
    into = ["--into", str(tmp_path / "all")]
    assert app(["merge", str(a), *into], standalone_mode=False) in (None, 0)
    assert app(["merge", str(a), str(b), *into], standalone_mode=False) == 1
    # Without logits the two are the same.
    assert app(["merge", "--private", str(b), *into], standalone_mode=False) in (None, 0)


def test_kept_models_come_with_the_encoder_they_stand_on_unless_private(tmp_path: Path) -> None:
    rows = rows_of(0, 1)
    a = site(tmp_path / "a", rows)
    alone, standing = rows[0]["key"], rows[1]["key"]
    for name, encoder in ((alone, ""), (standing, "e1"), (f"{standing}-refit", "e1")):
        folder = a / "models" / name
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({"encoder_key": encoder}))
        (folder / "model.safetensors").write_bytes(name.encode())
    for name in ("e1", "unused"):
        (a / "encoders" / name).mkdir(parents=True)
        (a / "encoders" / name / "last.safetensors").write_bytes(name.encode())

    merge([a], tmp_path / "private", private=True)
    assert not (tmp_path / "private" / "models").exists()
    # A row that is there already brings the model that was left out then.
    for into in (tmp_path / "all", tmp_path / "private"):
        merge([a], into)
        brought = {name for name in contents(into) if name.startswith(("models", "encoders"))}
        expected = {name for name in contents(a) if name.startswith(("models", "encoders"))}
        assert brought == {name for name in expected if "unused" not in name}
