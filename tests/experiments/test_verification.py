"""Forgeries of what is given away, each found; what is honest passes, and tells of no site."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, canonical_json
from lmd_bench.experiments.verification import verify
from lmd_bench.store.columns import COLUMNS, LOGITS
from lmd_bench.store.compaction import write_compacted
from lmd_bench.store.hiding import are_hidden
from lmd_bench.store.packs import MANIFEST, pack, unpack, write_pack
from lmd_bench.store.row_files import read_table, write_table
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import Store, open_store
from tests.experiments.submitted import COMMAND, HOST, TASK, make_store, measured, the_task

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("submitted") / "results")


@pytest.fixture(scope="module")
def packed(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pack") / "results.zip"
    pack([results], file)
    return file


def kinds(file: Path, **options: Any) -> set[str]:
    return {fault.kind for fault in verify(file, **options).faults}


def confirmed(rows: Rows) -> dict[str, Any]:
    return next(row for row in rows if row["phase"] == "confirm" and row["method"] == "crt")


def put_rows(store: Store, rows: Rows) -> None:
    for path in store.compacted():
        path.unlink()
    write_compacted(pa.Table.from_pylist(rows, COLUMNS), store.root)


def put_logits(store: Store, key: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = store.logits_file(key)
    table = read_table(path)
    assert table is not None
    images = table.to_pylist()
    change(images)
    write_table(pa.Table.from_pylist(images, LOGITS), path)


def follow(store: Store, row: dict[str, Any]) -> None:
    """Let the metrics of a row follow from its logits, as a careful forger does."""
    row |= measured(dict(store.read_logits(row["key"])))


def forged_metric(store: Store, rows: Rows) -> None:
    confirmed(rows)["test_balanced_accuracy"] += 0.01


def changed_logit(store: Store, rows: Rows) -> None:
    put_logits(store, confirmed(rows)["key"], lambda images: images[3]["logits"].__setitem__(0, 9))


def foreign_split(store: Store, rows: Rows) -> None:
    row = confirmed(rows)

    def swap(images: list[dict[str, Any]]) -> None:
        for image in images:
            image["image_id"] = f"other-{image['image_id']}"

    put_logits(store, row["key"], swap)
    follow(store, row)


def changed_label(store: Store, rows: Rows) -> None:
    row = confirmed(rows)
    put_logits(store, row["key"], lambda images: images[-1].update(label=0))
    follow(store, row)


def changed_seed(store: Store, rows: Rows) -> None:
    confirmed(rows)["seed"] = 77


def changed_setting(store: Store, rows: Rows) -> None:
    row = confirmed(rows)
    row["config_json"] = canonical_json({**json.loads(row["config_json"]), "training.lr": 0.5})


def removed_trial(store: Store, rows: Rows) -> None:
    rows.remove(next(row for row in rows if row["phase"] == "search" and row["trial_number"] == 1))


def removed_seed(store: Store, rows: Rows) -> None:
    rows.remove(confirmed(rows))


def doubled_row(store: Store, rows: Rows) -> None:
    rows.append(dict(confirmed(rows)))


def swapped_file(store: Store, rows: Rows) -> None:
    first, other = [row["key"] for row in rows if row["phase"] == "confirm"][:2]
    shutil.copyfile(store.logits_file(other), store.logits_file(first))


def renamed_method(store: Store, rows: Rows) -> None:
    for row in [row for row in rows if row["method"] == "crt"]:
        row["method"] = "lmd"
        key = spec_of(row).key
        for other in rows:
            other["source_key"] = key if other["source_key"] == row["key"] else other["source_key"]
        store.logits_file(row["key"]).rename(store.logits_file(key))
        row["key"] = key


def peeked(store: Store, rows: Rows) -> None:
    row = next(row for row in rows if row["phase"] == "search")
    row["test_balanced_accuracy"] = 0.9


def wrong_groups(store: Store, rows: Rows) -> None:
    row = confirmed(rows)
    row["groups"] = row["groups"][::-1]
    row["test_few_recall"], row["test_many_recall"] = row["test_many_recall"], None
    row["val_few_recall"], row["val_many_recall"] = row["val_many_recall"], None


def blanked_metrics(store: Store, rows: Rows) -> None:
    confirmed(rows).update(val_recall=None, test_macro_f1=None, temperature=None)


def blanked_score(store: Store, rows: Rows) -> None:
    confirmed(rows)["test_balanced_accuracy"] = None


def settings_that_are_no_json(store: Store, rows: Rows) -> None:
    confirmed(rows)["config_json"] = "{'training.lr': 0.5}"


def settings_that_are_no_table(store: Store, rows: Rows) -> None:
    confirmed(rows)["config_json"] = "3"


def no_factor(store: Store, rows: Rows) -> None:
    confirmed(rows)["imbalance_factor"] = float("nan")


def race(rows: Rows) -> list[dict[str, Any]]:
    """Add the race of a study: the default and one other in three rounds, a third in one."""
    trials = [row for row in rows if row["phase"] == "search" and row["method"] == "crt"]
    runs = []
    for trial in trials:
        for seed in (31, 32, 33)[: 1 if trial["trial_number"] == 2 else 3]:
            spec = replace(spec_of(trial), phase="race", seed=seed)
            run = {**trial, "phase": "race", "seed": seed, "source_key": trial["key"]}
            runs.append({**run, "key": spec.key, "proposed_by": None})
    rows += runs
    return runs


def best_without_its_race(store: Store, rows: Rows) -> None:
    runs = race(rows)
    best = max(runs, key=lambda row: row["val_balanced_accuracy"])["source_key"]
    for row in [row for row in runs if row["source_key"] == best]:
        rows.remove(row)


def default_without_a_round(store: Store, rows: Rows) -> None:
    rows.remove(next(row for row in race(rows) if row["is_default"]))


def first_round_removed(store: Store, rows: Rows) -> None:
    rows.remove(next(row for row in race(rows) if row["trial_number"] == 1))


def swapped_sources(store: Store, rows: Rows) -> None:
    """Count the runs of the tuned configuration as those of the default, and the other way."""
    runs = [row for row in rows if row["phase"] == "confirm" and row["method"] == "crt"]
    first, other = sorted({row["source_key"] for row in runs})
    for row in runs:
        row["source_key"] = other if row["source_key"] == first else first


def failed_source(store: Store, rows: Rows) -> None:
    key = next(row["source_key"] for row in rows if row["phase"] == "confirm")
    row = next(row for row in rows if row["key"] == key)
    row.update(status="diverged", cause="loss nan")


def another_default(store: Store, rows: Rows) -> None:
    for row in rows:
        if row["phase"] == "search" and row["method"] == "crt":
            row["is_default"] = row["trial_number"] == 1


def default_of_the_sampler(store: Store, rows: Rows) -> None:
    row = next(row for row in rows if row["phase"] == "search" and row["is_default"])
    row["proposed_by"] = "sampler"


def test_what_is_honest_passes_and_every_metric_is_computed_again(packed: Path) -> None:
    found = verify(packed)

    assert found.faults == ()
    assert (found.n_rows, found.n_recomputed) == (14, 14)
    assert kinds(packed, source=DataSource()) == set()


# A forger who makes the manifest anew: its hashes fit, and what the rows say does not.
@pytest.mark.parametrize(
    ("forge", "kind"),
    [
        (forged_metric, "metric"),
        (changed_logit, "metric"),
        (foreign_split, "split"),
        (changed_label, "label"),
        (changed_seed, "key"),
        (changed_setting, "key"),
        (removed_trial, "absent"),
        (removed_seed, "absent"),
        (doubled_row, "doubled"),
        (swapped_file, "metric"),
        (renamed_method, "method"),
        (peeked, "test"),
        (wrong_groups, "task"),
        (blanked_metrics, "metric"),
        (blanked_score, "metric"),
        (blanked_score, "test"),
        (settings_that_are_no_json, "row"),
        (settings_that_are_no_table, "row"),
        (no_factor, "row"),
        (best_without_its_race, "absent"),
        (default_without_a_round, "absent"),
        (first_round_removed, "absent"),
        (swapped_sources, "source"),
        (failed_source, "source"),
        (another_default, "source"),
        (default_of_the_sampler, "source"),
    ],
)
def test_a_forgery_is_found_though_its_manifest_fits(
    packed: Path, tmp_path: Path, forge: Callable[[Store, Rows], None], kind: str
) -> None:
    folder = tmp_path / "folder"
    unpack(packed, folder)
    store = open_store(folder)
    rows = store.scan().table.to_pylist()
    forge(store, rows)
    put_rows(store, rows)
    write_pack(store, tmp_path / "forged.zip")

    found = verify(tmp_path / "forged.zip")

    assert kind in {fault.kind for fault in found.faults}
    assert "manifest" not in {fault.kind for fault in found.faults}


def without(results: Path, tmp_path: Path, *columns: str) -> Path:
    """Return a copy of a results folder in which a confirmed run lacks these columns."""
    folder = tmp_path / "folder"
    shutil.copytree(results, folder)
    store = open_store(folder)
    row = confirmed(store.rows()) | dict.fromkeys(columns)
    write_table(pa.Table.from_pylist([row], COLUMNS), store.trial_file(row["key"]))
    return folder


def test_rows_of_earlier_versions_lack_what_every_command_takes_from_the_logits(
    results: Path, tmp_path: Path
) -> None:
    folder = without(results, tmp_path, "val_counts", "test_counts", "test_kappa")

    assert verify(folder).faults == ()


@pytest.mark.parametrize("command", ["leaderboard", "ranks", "intervals"])
def test_a_run_without_its_score_ends_no_command_in_a_traceback(
    results: Path, tmp_path: Path, command: str, capsys
) -> None:
    folder = without(results, tmp_path, "test_balanced_accuracy", "test_recall", "test_counts")

    app([command, "--results", str(folder)], standalone_mode=False)

    assert "crt" in capsys.readouterr().out


def test_metrics_on_val_without_its_logits_are_not_computed_again(
    packed: Path, tmp_path: Path
) -> None:
    unpack(packed, tmp_path)
    store = open_store(tmp_path)
    rows = store.scan().table.to_pylist()
    row = confirmed(rows)
    row["val_balanced_accuracy"] = 0.99
    put_rows(store, rows)

    def leave_test(images: list[dict[str, Any]]) -> None:
        images[:] = [image for image in images if image["split"] == "test"]

    put_logits(store, row["key"], leave_test)

    found = verify(tmp_path)

    assert (found.faults, found.n_recomputed) == ((), 13)
    assert "1 rows have logits of test alone" in " ".join(found.notes)


def test_a_race_that_is_whole_passes(packed: Path, tmp_path: Path) -> None:
    unpack(packed, tmp_path)
    store = open_store(tmp_path)
    rows = store.scan().table.to_pylist()
    race(rows)
    put_rows(store, rows)

    assert verify(tmp_path).faults == ()


def test_a_seed_removed_from_a_whole_study_is_told_of(packed: Path, tmp_path: Path) -> None:
    unpack(packed, tmp_path)
    store = open_store(tmp_path)
    rows = store.scan().table.to_pylist()
    put_rows(
        store, [r for r in rows if (r["phase"], r["method"], r["seed"]) != ("confirm", "crt", 2)]
    )

    found = verify(tmp_path)

    assert found.faults == ()
    assert "fewer seeds than others of their search" in " ".join(found.notes)
    assert "synthetic/crt lacks 2" in " ".join(found.notes)
    assert "fewer seeds" not in " ".join(verify(packed).notes)


def altered(packed: Path, to: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(packed) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    with zipfile.ZipFile(to, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return to


def a_byte(contents: dict[str, bytes]) -> None:
    name = next(name for name in contents if name.startswith("logits/"))
    contents[name] = contents[name] + b"\0"


def a_file_less(contents: dict[str, bytes]) -> None:
    del contents[next(name for name in contents if name.startswith("logits/"))]


def no_manifest(contents: dict[str, bytes]) -> None:
    del contents[MANIFEST]


def a_row_unnamed(contents: dict[str, bytes]) -> None:
    manifest = json.loads(contents[MANIFEST])
    manifest["rows"].popitem()
    contents[MANIFEST] = json.dumps(manifest).encode()


def a_file_more(contents: dict[str, bytes]) -> None:
    contents["logits/00ff.parquet"] = b"more"


@pytest.mark.parametrize("change", [a_byte, a_file_less, no_manifest, a_row_unnamed, a_file_more])
def test_a_manifest_that_does_not_fit_is_found(packed: Path, tmp_path: Path, change) -> None:
    assert "manifest" in kinds(altered(packed, tmp_path / "altered.zip", change))


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "/tmp/evil.json",
        "logits/../../evil.parquet",
        "logits\\..\\x.parquet",
        "a.html",
    ],
)
def test_a_member_that_leaves_the_folder_or_is_no_result_is_never_written(
    packed: Path, tmp_path: Path, name: str
) -> None:
    file = altered(packed, tmp_path / "evil.zip", lambda of: of.update({name: b"evil"}))
    into = tmp_path / "deep" / "into"

    found = verify(file, into=into)

    assert [fault.where for fault in found.faults if fault.kind == "member"] == [name]
    assert not [path for path in tmp_path.rglob("*evil*") if path != file]
    assert not list(into.rglob("*.html"))


def test_a_member_that_is_there_twice_or_could_grow_is_found(packed: Path, tmp_path: Path) -> None:
    file = tmp_path / "grown.zip"
    shutil.copyfile(packed, file)
    with zipfile.ZipFile(file, "a") as archive:
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("store.json", b"{}")
        archive.writestr("logits/00ff.parquet", bytes(1000), zipfile.ZIP_DEFLATED)
    whats = [fault.what for fault in verify(file).faults if fault.kind == "member"]
    assert [what.split(",")[0] for what in whats] == [
        "it is there twice; the first was taken",
        "it is compressed",
    ]


@pytest.mark.parametrize("forge", [foreign_split, changed_label])
def test_what_was_forged_in_all_runs_alike_is_found_with_the_data(
    results: Path, tmp_path: Path, forge
) -> None:
    store = open_store(tmp_path / "all", create=True)
    original = open_store(results)
    for row in original.rows():
        if row["phase"] == "search":
            continue
        shutil.copyfile(original.logits_file(row["key"]), store.logits_file(row["key"]))
        one = [row]
        row["method"], kept = "crt", row["method"]
        forge(store, one)
        store_row = {**row, "method": kept}
        write_table(pa.Table.from_pylist([store_row], COLUMNS), store.trial_file(row["key"]))

    expected = "split" if forge is foreign_split else "label"
    assert not kinds(store.root) & {"split", "label", "metric"}
    assert expected in kinds(store.root, source=DataSource())


def test_other_data_than_the_rows_name_are_found(results: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path / "other", create=True)
    for row in open_store(results).rows():
        spec = replace(spec_of(row), task=replace(TASK, split_seed=3))
        moved = {**row, "split_seed": 3, "key": spec.key}
        write_table(pa.Table.from_pylist([moved], COLUMNS), store.trial_file(spec.key))
    assert "split" not in kinds(store.root)
    assert "split" in kinds(store.root, source=DataSource())


def test_a_pack_names_no_machine_no_path_and_no_image(packed: Path) -> None:
    _, sets = the_task()
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
        contents = b"".join(archive.read(name) for name in names)
    folder = Path(packed).parent / "looked"
    unpack(packed, folder)
    store = open_store(folder)
    texts = json.dumps(store.rows())
    for word in (HOST, COMMAND, "/secret", str(Path.home()), str(packed.parent)):
        assert word not in texts
        assert word.encode() not in contents
    for row in store.rows():
        for ids, _, _ in store.read_logits(row["key"]).values():
            assert are_hidden(ids)
            assert not set(ids) & {*sets["val"][0], *sets["test"][0]}


def test_equal_results_make_equal_packs(results: Path, packed: Path, tmp_path: Path) -> None:
    pack([results], tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_without_logits_verify_says_that_metrics_are_taken_as_told(
    results: Path, tmp_path: Path
) -> None:
    pack([results], tmp_path / "bare.zip", logits=False)
    found = verify(tmp_path / "bare.zip")
    assert (found.faults, found.n_recomputed) == ((), 0)
    assert "14 rows have no logits" in found.notes[0]


def test_the_commands_pack_look_and_unpack(results: Path, tmp_path: Path, capsys) -> None:
    file, into = tmp_path / "r.zip", tmp_path / "into"
    app(["submit", str(results), "--to", str(file)], standalone_mode=False)
    app(["verify", str(file), "--unpack", str(into)], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "14 rows, all metrics of 14 computed again" in printed
    assert printed.count("SHA-256") == 2
    assert np.array_equal(
        open_store(into).scan(["key"]).table["key"].to_numpy().sort(),
        open_store(results).scan(["key"]).table["key"].to_numpy().sort(),
    )
    forged = altered(file, tmp_path / "forged.zip", a_byte)
    assert app(["verify", str(forged)], standalone_mode=False) == 1
    with pytest.raises(UserError, match="not empty"):
        verify(file, into=into)
    with pytest.raises(UserError, match="no pack"):
        verify(results / "store.json")
