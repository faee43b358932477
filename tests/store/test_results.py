import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import Store, open_store

PAGE = Path(__file__).parents[2] / "docs" / "results-folder.md"
MEASURED: dict[str, Any] = {
    "status": "ok",
    "seconds": 2.5,
    "standalone_seconds": 4.0,
    "started_at": "2025-01-01T00:00:00+00:00",
    "finished_at": "2025-01-01T00:00:02+00:00",
}
POINT = {"stage": "representation", "epoch": 1, "loss": 1.5, "val_balanced_accuracy": 0.25}


def make_spec(seed: int = 0, study: str = "toy/crt") -> TrialSpec:
    return TrialSpec(
        task=TaskSpec(dataset="toy", imbalance_factor=100.0),
        task_fingerprint="abc",
        method="crt",
        representation="cross_entropy",
        calibration="crt",
        config={"training.lr": 0.1, "crt.n_epochs": 3},
        seed=seed,
        n_epochs=8,
        study=study,
        versions={"crt": 1},
    )


def a_row(seed: int = 0, study: str = "toy/crt", **measured: Any) -> dict[str, Any]:
    context = TrialContext(results=Path("unused"), trial_number=seed, command="lmd-bench train")
    return make_row(make_spec(seed, study), context, **{**MEASURED, **measured})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "runs", create=True)


def path_of(store: Store, row: dict[str, Any]) -> Path:
    return store.root / "trials" / f"{row['key']}.parquet"


def test_a_row_comes_back_as_it_was_written(store: Store) -> None:
    row = a_row(
        curve=[POINT], val_recall=[0.5, 0.25], val_balanced_accuracy=0.375, class_counts=[9, 1]
    )

    store.write(row)

    assert store.get(row["key"]) == row
    assert store.rows() == [row]


def test_undefined_and_not_measured_stay_apart(store: Store) -> None:
    row = a_row(val_few_recall=float("nan"))
    store.write(row)

    found = store.get(row["key"])

    assert found is not None
    assert np.isnan(found["val_few_recall"])
    assert found["test_few_recall"] is None


def test_a_key_that_was_never_written_is_missing(store: Store) -> None:
    assert not store.has("nothing")
    assert store.get("nothing") is None


def test_a_second_row_of_a_key_replaces_the_first(store: Store) -> None:
    store.write(a_row(seconds=1.0))
    store.write(a_row(seconds=2.0))

    assert [row["seconds"] for row in store.rows()] == [2.0]


def test_rows_are_of_one_study_and_in_order_of_trial(store: Store) -> None:
    for seed in (2, 0, 1):
        store.write(a_row(seed))
    store.write(a_row(0, study="toy/lmd"))

    assert [row["trial_number"] for row in store.rows("toy/crt")] == [0, 1, 2]
    assert len(store.rows()) == 4


def test_frame_has_every_column_even_without_rows(store: Store) -> None:
    assert list(store.frame().columns) == COLUMNS.names
    store.write(a_row())
    assert store.frame()["method"].tolist() == ["crt"]


def test_spec_context_and_provenance_fill_the_row() -> None:
    row = a_row()

    assert row["key"] == make_spec().key
    assert (row["dataset"], row["imbalance_factor"], row["n_max"]) == ("toy", 100.0, None)
    assert json.loads(row["config_json"]) == {"training.lr": 0.1, "crt.n_epochs": 3}
    assert json.loads(row["versions_json"]) == {"crt": 1}
    assert row["command"] == "lmd-bench train"
    assert row["python_version"].startswith("3.")


def test_a_failed_trial_needs_no_more_than_its_status_and_times() -> None:
    row = a_row(status="lost", cause="worker died")

    assert (row["n_train"], row["curve"], row["class_names"]) == (None, [], [])


def test_measured_device_stands_for_the_one_that_was_asked_for() -> None:
    assert a_row(device="cpu", n_threads=2)["device"] == "cpu"


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ({"colour": "red"}, "columns missing or unknown: \\['colour'\\]"),
        ({"method": "lmd"}, "given by the spec were measured: \\['method'\\]"),
        ({"status": None}, "must have a value are None: \\['status'\\]"),
    ],
)
def test_a_row_with_wrong_columns_cannot_be_made(measured: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        a_row(**measured)


def test_a_row_that_lacks_a_column_cannot_be_written(store: Store) -> None:
    row = a_row()
    del row["seconds"]

    with pytest.raises(AssertionError, match="columns missing or unknown: \\['seconds'\\]"):
        store.write(row)
    assert store.rows() == []


def test_logits_come_back_by_split_in_their_order(store: Store) -> None:
    row = a_row()
    store.write(row, [("b", "val", 1, [0.5, 1.5]), ("a", "val", 0, [2.0, 0.0])])

    splits = store.read_logits(row["key"])

    assert list(splits) == ["val"]
    image_ids, labels, logits = splits["val"]
    assert image_ids == ("b", "a")
    assert labels.tolist() == [1, 0]
    assert logits.dtype == np.float32
    assert logits.tolist() == [[0.5, 1.5], [2.0, 0.0]]


def test_groups_come_back_in_the_order_of_the_logits(store: Store) -> None:
    row = a_row()
    rows = [("b", "val", 1, [0.5, 1.5], "g1"), ("a", "val", 0, [2.0, 0.0], None)]
    store.write(row, [*rows, ("c", "test", 0, [1.0, 0.0], "g2")])

    assert store.read_groups(row["key"]) == {"val": ("g1", None), "test": ("g2",)}
    assert store.read_logits(row["key"])["val"][0] == ("b", "a")


def test_logits_of_an_earlier_version_are_read_and_have_no_groups(store: Store) -> None:
    row = a_row()
    store.write(row, [("a", "val", 0, [2.0, 0.0])])
    path = store.logits_file(row["key"])
    pq.write_table(pq.read_table(path).drop_columns("group"), path)

    assert store.read_groups(row["key"]) == {}
    assert store.read_logits(row["key"])["val"][0] == ("a",)
    assert store.read_groups("0" * 20) == {}


def test_a_row_without_logits_has_none(store: Store) -> None:
    row = a_row()
    store.write(row)

    assert store.read_logits(row["key"]) == {}


def test_damaged_logits_are_an_error_that_says_what_to_delete(store: Store) -> None:
    row = a_row()
    store.write(row, [("a", "val", 0, [2.0, 0.0])])
    (store.root / "logits" / f"{row['key']}.parquet").write_bytes(b"PAR1")

    with pytest.raises(UserError, match="are damaged; delete that file"):
        store.read_logits(row["key"])


def test_a_file_cut_in_half_counts_as_missing_and_is_reported(store: Store) -> None:
    kept, cut = a_row(0), a_row(1)
    store.write(kept)
    store.write(cut)
    content = path_of(store, cut).read_bytes()
    path_of(store, cut).write_bytes(content[: len(content) // 2])

    assert store.rows() == [kept]
    assert not store.has(cut["key"])
    assert store.damaged() == [path_of(store, cut)]

    store.write(cut)  # run again
    assert store.damaged() == []
    assert store.has(cut["key"])


def test_a_changed_byte_in_the_data_counts_as_damage(store: Store) -> None:
    row = a_row(cause="recognisable text")
    store.write(row)
    content = path_of(store, row).read_bytes()
    assert b"recognisable" in content
    path_of(store, row).write_bytes(content.replace(b"recognisable", b"recognisablf"))

    assert store.damaged() == [path_of(store, row)]


def test_files_that_are_still_being_written_are_not_read(store: Store) -> None:
    row = a_row()
    store.write(row)
    path_of(store, row).rename(store.root / "trials" / f".{row['key']}.parquet")

    assert store.rows() == []
    assert store.damaged() == []


def test_a_write_that_fails_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises((TypeError, ValueError, OSError)):
        store.write(a_row(seconds="soon"))

    assert [path for path in store.root.rglob("*") if path.is_file()] == [store.root / "store.json"]


def test_provenance_is_in_the_files_footer(store: Store) -> None:
    row = a_row()
    store.write(row)

    footer = pq.read_metadata(path_of(store, row)).metadata[b"lmd_bench"]

    assert json.loads(footer)["key"] == row["key"]
    assert "numpy" in json.loads(footer)["library_versions"]


def test_a_column_of_a_later_package_is_ignored_and_a_new_one_is_none_in_old_files(
    store: Store,
) -> None:
    row = a_row(peak_memory_mib=1.0)
    store.write(row)
    table = pq.read_table(path_of(store, row)).drop_columns(["peak_memory_mib"])
    pq.write_table(table.append_column("later", [["x"]]), path_of(store, row))

    assert store.get(row["key"]) == {**row, "peak_memory_mib": None}


def write_rows(root: Path, first: int) -> None:
    store = open_store(root, create=True)
    for seed in range(first, first + 20):
        store.write(a_row(seed), [("a", "val", 0, [float(seed), 0.0])])


def test_two_processes_may_create_and_write_one_store_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=write_rows, args=(tmp_path, first)) for first in (0, 10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    store = open_store(tmp_path)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [row["seed"] for row in store.rows()] == list(range(30))
    assert store.damaged() == []
    assert list(tmp_path.rglob("*.tmp")) == []


@pytest.mark.parametrize("folder", ["absent", "."])
def test_a_folder_without_a_store_says_what_to_run(tmp_path: Path, folder: str) -> None:
    with pytest.raises(UserError, match="no results in .*run lmd-bench search first"):
        open_store(tmp_path / folder)


def test_opening_an_absent_folder_for_reading_does_not_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        open_store(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("create", [False, True])
def test_results_of_another_schema_version_are_refused(tmp_path: Path, create: bool) -> None:
    marker = {"schema_version": 99, "package_version": "9.9"}
    (tmp_path / "store.json").write_text(json.dumps(marker))

    with pytest.raises(UserError, match="schema version 99, written by lmd-bench 9.9"):
        open_store(tmp_path, create=create)
    assert json.loads((tmp_path / "store.json").read_text()) == marker


def test_a_marker_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text("[]")

    with pytest.raises(UserError, match="is not what lmd-bench wrote there"):
        open_store(tmp_path)


def test_a_results_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UserError, match="cannot be made"):
        open_store(tmp_path / "file", create=True)
