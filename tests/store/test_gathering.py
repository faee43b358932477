"""Logits gathered in one file: the same numbers, or rounded ones that change no metric."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.stats.metrics import evaluate, evaluate_further
from lmd_bench.store import gathering
from lmd_bench.store.compaction import compact
from lmd_bench.store.differences import logit_differences
from lmd_bench.store.gathered import gathered_files
from lmd_bench.store.gathering import gather
from lmd_bench.store.merging import merge
from lmd_bench.store.packs import copy_hidden
from lmd_bench.store.recomputed import contradicted
from lmd_bench.store.reproductions import Record, logits_hash, row_hash, write_record
from lmd_bench.store.roundings import (
    SHIFTED,
    STEPS,
    Rounding,
    are_rounded,
    round_logits,
    roundings_of,
    step_of,
)
from lmd_bench.store.store import Store, open_store
from tests.store.test_results import a_row

N_CLASSES, N_IMAGES = 3, 60
GROUPS = ("many", "medium", "few")


def on_test(labels: Any, z: Any) -> dict[str, float]:
    return {**evaluate(labels, z, GROUPS, None), **evaluate_further(labels, z, None)}


def fill(store: Store, n_rows: int = 4, *, n_images: int = N_IMAGES) -> list[dict[str, Any]]:
    """Write rows whose metrics follow from their logits."""
    rows: list[dict[str, Any]] = []
    for seed in range(n_rows):
        rng = np.random.default_rng(seed)
        labels = np.arange(n_images) % N_CLASSES
        z = {
            split: rng.normal(size=(n_images, N_CLASSES)).astype("f4") for split in ("val", "test")
        }
        scores = {f"val_{k}": v for k, v in evaluate(labels, z["val"], GROUPS, None).items()}
        further = {
            **evaluate(labels, z["test"], GROUPS, None),
            **evaluate_further(labels, z["test"], None),
        }
        scores |= {f"test_{k}": v for k, v in further.items()}
        row = a_row(
            seed,
            class_names=["a", "b", "c"],
            class_counts=[9, 5, 1],
            groups=list(GROUPS),
            **scores,
        )
        logits = [
            (f"{split}{i}", split, int(labels[i]), z[split][i].tolist(), f"lesion{i // 2}")
            for split in ("val", "test")
            for i in range(n_images)
        ]
        store.write(row, logits)
        rows.append(row)
    return rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "runs", create=True)


def of_all(store: Store, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [store.read_logits(row["key"]) for row in rows]


def test_gathered_logits_are_read_as_before(store) -> None:
    rows = fill(store)
    before, groups = of_all(store, rows), [store.read_groups(row["key"]) for row in rows]

    done = gather(store.root)

    assert (done.n_trials, done.n_gathered, done.n_rounded) == (4, 4, 0)
    assert not list((store.root / "logits").iterdir())
    for old, new in zip(before, of_all(store, rows), strict=True):
        assert logit_differences(old, new) == []
    assert groups == [store.read_groups(row["key"]) for row in rows]


def test_a_second_gathering_takes_new_trials_along(store) -> None:
    rows = fill(store, 2)
    gather(store.root)
    rows = fill(store, 5)
    before = of_all(store, rows)

    # The first two lie in both: what was written last counts.
    assert gather(store.root).n_trials == 5

    assert len(gathered_files(store.root)) == 1
    for old, new in zip(before, of_all(store, rows), strict=True):
        assert logit_differences(old, new) == []


def test_a_single_file_that_a_killed_gathering_had_put_aside_comes_back(store) -> None:
    (row,) = fill(store, 1)
    before = store.read_logits(row["key"])
    path = store.logits_file(row["key"])
    path.rename(path.with_name(f".{path.name}.compacted"))

    assert gather(store.root).n_trials == 1
    assert logit_differences(before, store.read_logits(row["key"])) == []


def test_many_groups_of_rows_are_found_again(store, monkeypatch) -> None:
    monkeypatch.setattr(gathering, "ROW_GROUP", 3)
    monkeypatch.setattr("lmd_bench.store.gathered.ROW_GROUP", 3)
    rows = fill(store, 5, n_images=6)
    before = of_all(store, rows)
    gather(store.root)
    for old, new in zip(before, of_all(store, rows), strict=True):
        assert logit_differences(old, new) == []


def test_rounding_changes_no_metric_at_four_digits(store) -> None:
    rows = fill(store, 6)
    whole = of_all(store, rows)

    done = gather(store.root, rounded=True)

    rounded = of_all(store, rows)
    assert done.n_rounded >= 5
    for row, old, new in zip(rows, whole, rounded, strict=True):
        assert contradicted(row, new) == ((), "")
        # What is run again is compared with what was rounded.
        assert logit_differences(new, old) == []
        _, labels, z = new["test"]
        again = on_test(labels, z)
        for name, value in again.items():
            assert value == pytest.approx(row[f"test_{name}"], rel=5e-5, abs=5e-5, nan_ok=True)


def test_logits_whose_rounding_would_change_a_metric_stay_whole(store) -> None:
    (row,) = fill(store, 1)
    logits = store.read_logits(row["key"])
    _, labels, z = logits["test"]
    # Two classes apart by less than any rounding: it would make another one the first.
    z = np.zeros_like(z)
    z[:, 0], z[:, 1] = 1, np.nextafter(np.float32(1), np.float32(2))
    scores = on_test(labels, z)
    row |= {f"test_{name}": value for name, value in scores.items()}
    lines = [(f"i{i}", "test", int(labels[i]), z[i].tolist(), None) for i in range(len(z))]
    store.write(row, lines)

    assert gather(store.root, rounded=True).n_rounded == 0
    assert np.array_equal(store.read_logits(row["key"])["test"][2], z)


def test_what_was_reproduced_keeps_its_logits(store) -> None:
    rows = fill(store, 2)
    row = rows[0]
    logits = store.read_logits(row["key"])
    told = logits_hash(logits, row["task_fingerprint"])
    write_record(
        store.root,
        Record(
            key=row["key"],
            verdict="bit-equal",
            row_sha256=row_hash(row),
            logits_sha256=told,
            again_row_sha256=row_hash(row),
            again_logits_sha256=told,
            outcome=(),
            provenance=(),
            device="cpu",
            package_version="0",
            git_commit=None,
            finished_at="",
        ),
    )

    assert gather(store.root, rounded=True).n_rounded == 1
    assert logits_hash(store.read_logits(row["key"]), row["task_fingerprint"]) == told


def test_a_forged_metric_is_seen_behind_rounded_logits(store) -> None:
    rows = fill(store, 2)
    gather(store.root, rounded=True)
    forged = rows[0] | {"test_balanced_accuracy": rows[0]["test_balanced_accuracy"] + 0.001}
    wrong, what = contradicted(forged, store.read_logits(forged["key"]))
    assert wrong == ("test_balanced_accuracy",)
    assert "the logits give" in what


def test_merging_and_hiding_take_gathered_logits_along(store, tmp_path) -> None:
    rows = fill(store, 3)
    gather(store.root, rounded=True)
    merge([store.root], tmp_path / "joined")
    copy_hidden([store.root], tmp_path / "hidden")
    for root in (tmp_path / "joined", tmp_path / "hidden"):
        for row in rows:
            there, here = store.read_logits(row["key"]), open_store(root).read_logits(row["key"])
            assert all(np.array_equal(there[split][2], here[split][2]) for split in there)
    # Twice the same is no conflict.
    assert not any(arrival.conflicts for arrival in merge([store.root], tmp_path / "joined"))


def test_merging_may_bring_some_studies_alone(store, tmp_path) -> None:
    rows = fill(store, 4)
    for row, study in zip(rows, ("if50/a", "if100/a", "if100/b", "if20/c"), strict=True):
        store.write(row | {"study": study})
    merge([store.root], tmp_path / "joined", studies=["if50", "/b"])
    joined = open_store(tmp_path / "joined")
    assert sorted(row["study"] for row in joined.rows()) == ["if100/b", "if50/a"]
    there = [bool(joined.read_logits(row["key"])) for row in rows]
    assert there == [True, False, True, False]
    (arrival,) = merge([store.root], tmp_path / "joined", studies=["if100"])
    assert (arrival.n_rows, arrival.n_new) == (2, 1)
    with pytest.raises(UserError, match="has an id that holds 'if7'"):
        merge([store.root], tmp_path / "none", studies=["if50", "if7"])
    assert not (tmp_path / "none").exists()


def test_merging_may_leave_the_logits_of_defaults_behind(store, tmp_path) -> None:
    rows = fill(store, 4)
    for row, study, is_default in zip(rows, "aabb", (True, False, True, True), strict=True):
        store.write(row | {"study": study, "phase": "confirm", "is_default": is_default})
    for _ in range(2):  # the second time all of them are there
        merge([store.root], tmp_path / "joined", logits="tuned")
        joined = open_store(tmp_path / "joined")
        kept = [list(joined.read_logits(row["key"])) for row in rows]
        # Where the default was chosen, it is the tuned one as well.
        assert kept == [[], ["test"], ["test"], ["test"]]
    assert joined.scan().table.num_rows == 4


def test_merging_may_leave_the_logits_of_searches_behind(store, tmp_path) -> None:
    (confirmed,) = fill(store, 1)
    searched = confirmed | {"key": "a" * 20}
    store.write(searched, [("i", "val", 0, [1.0, 0.0, 0.0], None)])
    merge([store.root], tmp_path / "joined", logits="test")
    joined = open_store(tmp_path / "joined")
    assert not joined.read_logits(searched["key"])
    whole, kept = store.read_logits(confirmed["key"]), joined.read_logits(confirmed["key"])
    assert list(kept) == ["test"]
    # What was left behind is not compared.
    assert logit_differences(kept, whole) == []
    assert logit_differences(whole, kept) == ["val logits: only there"]


def test_a_cut_gathered_file_is_named_and_nothing_goes(store) -> None:
    rows = fill(store, 3)
    done = gather(store.root)
    assert done.file is not None
    done.file.write_bytes(done.file.read_bytes()[:-40])
    with pytest.raises(UserError, match="is damaged"):
        store.read_logits(rows[0]["key"])


def test_a_damaged_single_file_is_left_and_named(store) -> None:
    rows = fill(store, 3)
    path = store.logits_file(rows[1]["key"])
    path.write_bytes(path.read_bytes()[:50])
    done = gather(store.root)
    assert (done.n_trials, done.damaged) == (2, (path,))
    assert path.exists()


@pytest.mark.parametrize(("rounded", "compacted"), [(False, True), (True, False)])
def test_logits_stay_while_their_row_cannot_be_read(store, rounded, compacted) -> None:
    rows = fill(store, 3, n_images=12)
    before = of_all(store, rows)
    gather(store.root)
    file = compact(store.root).file if compacted else store.trial_file(rows[1]["key"])
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    lost = rows if compacted else rows[1:2]

    assert gather(store.root, rounded=rounded).n_trials == 3

    for row, old in zip(rows, before, strict=True):
        again = store.read_logits(row["key"])
        assert logit_differences(old, again) == []
        if row in lost:
            assert all(np.array_equal(old[split][2], again[split][2]) for split in old)


def test_logits_rounded_by_an_earlier_version_wait_for_their_row(store, monkeypatch) -> None:
    rows = fill(store, 2, n_images=12)
    monkeypatch.setattr(gathering, "SETTLED", {})
    monkeypatch.setattr(gathering, "SHIFTED", STEPS[-1:])
    gather(store.root, rounded=True)
    monkeypatch.undo()
    path = store.trial_file(rows[0]["key"])
    whole = path.read_bytes()
    path.write_bytes(b"PAR1")
    gather(store.root, rounded=True)
    path.write_bytes(whole)
    gather(store.root, rounded=True)
    steps = [step_of(z) for of in of_all(store, rows) for _, _, z in of.values()]
    assert len(steps) == 4
    assert STEPS[-1].n not in steps


def test_gathered_logits_stay_beside_a_damaged_single_file(store) -> None:
    rows = fill(store, 2, n_images=12)
    before = store.read_logits(rows[0]["key"])
    gather(store.root)
    path = store.logits_file(rows[0]["key"])
    path.write_bytes(b"PAR1")

    done = gather(store.root, rounded=True)

    assert (done.n_trials, done.damaged) == (2, (path,))
    path.unlink()
    assert logit_differences(before, store.read_logits(rows[0]["key"])) == []


def test_rows_without_logits_are_passed_over_wherever_they_stand(store) -> None:
    rows = fill(store, 3)
    bare = [a_row(seed) | {"trial_number": place} for seed, place in ((7, -1), (8, 1), (9, 99))]
    for row in bare:
        store.write(row)
    done = gather(store.root)
    assert (done.n_trials, done.n_gathered) == (3, 3)
    assert [bool(store.read_logits(row["key"])) for row in (*rows, *bare)] == [True] * 3 + [
        False
    ] * 3


def test_without_logits_there_is_no_gathered_file_and_damage_is_still_named(store) -> None:
    (row,) = fill(store, 1)
    path = store.logits_file(row["key"])
    path.write_bytes(b"PAR1")
    done = gather(store.root)
    assert (done.n_trials, done.n_rounded, done.n_gathered, done.file) == (0, 0, 0, None)
    assert done.damaged == (path,)
    assert gathered_files(store.root) == []


def test_logits_that_contradict_their_row_stay_whole(store) -> None:
    rows = fill(store, 2)
    forged = rows[0] | {"test_balanced_accuracy": 0.001}
    store.write(forged)
    whole = store.read_logits(forged["key"])
    assert gather(store.root, rounded=True).n_rounded == 1
    again = store.read_logits(forged["key"])
    assert all(np.array_equal(whole[split][2], again[split][2]) for split in whole)


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"\0" * 4000])
def test_a_damaged_gathered_file_ends_a_gathering_before_anything_goes(store, damage) -> None:
    fill(store, 2)
    file = gather(store.root).file
    assert file is not None
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + damage + whole[4 + len(damage) :] if len(damage) > 9 else damage)
    new = a_row(9)
    store.write(new, [("i", "val", 0, [1.0, 0.0, 0.0], None)])
    with pytest.raises(UserError, match=f"(?s){file} is damaged .*; bring it back"):
        gather(store.root)
    assert store.logits_file(new["key"]).exists()
    assert gathered_files(store.root) == [file]
    assert not list(file.parent.glob(".*"))


def test_a_second_gathering_of_the_same_logits_keeps_its_file(store) -> None:
    fill(store, 2)
    file = gather(store.root).file
    done = gather(store.root)
    assert (done.file, done.n_trials, done.n_gathered) == (file, 2, 0)
    assert gathered_files(store.root) == [file]


def test_what_was_rounded_is_counted_as_rounded_again(store) -> None:
    fill(store, 3)
    first = gather(store.root, rounded=True)
    again = gather(store.root)
    assert again.n_rounded == first.n_rounded == 3


def test_a_single_file_that_is_replaced_meanwhile_stays(store, monkeypatch) -> None:
    rows = fill(store, 2)
    path = store.logits_file(rows[0]["key"])
    write = gathering._write

    def late(root, trials, says):
        file = write(root, trials, says)
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        return file

    monkeypatch.setattr(gathering, "_write", late)
    assert gather(store.root).n_gathered == 1
    assert list((store.root / "logits").iterdir()) == [path]


def test_what_cannot_be_read_back_leaves_all_logits_where_they_are(store, monkeypatch) -> None:
    rows = fill(store, 2)
    monkeypatch.setattr(gathering, "_keys_of_all", lambda path: [])
    with pytest.raises(UserError, match="cannot be read back, so no single file was removed"):
        gather(store.root)
    assert all(store.logits_file(row["key"]).exists() for row in rows)
    assert not list((store.root / "gathered").iterdir())


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4])
def test_a_gathered_file_has_full_groups_and_a_rest(store, monkeypatch, n_rows: int) -> None:
    monkeypatch.setattr(gathering, "ROW_GROUP", 3)
    monkeypatch.setattr("lmd_bench.store.gathered.ROW_GROUP", 3)
    rows = fill(store, n_rows, n_images=6)
    file = gather(store.root).file
    facts = pq.read_metadata(file)
    sizes = [facts.row_group(place).num_rows for place in range(facts.num_row_groups)]
    n = 2 * n_rows  # two splits each
    assert sizes == [3] * (n // 3) + [n % 3] * (n % 3 > 0)
    assert gathering._keys_of_all(file) == [row["key"] for row in rows for _ in range(2)]
    file.write_bytes(file.read_bytes()[:-30])
    assert gathering._keys_of_all(file) == []


def test_an_altered_number_is_seen_when_a_gathered_file_is_read_back(store) -> None:
    fill(store, 2)
    file = gather(store.root).file
    whole = file.read_bytes()

    def altered(place: int) -> bool:
        """Change a byte, and say whether only the checksum of its page can tell."""
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with suppress(OSError, pa.ArrowException):
            return pq.read_table(file, page_checksum_verification=False).num_rows == 4
        return False

    assert any(altered(place) for place in range(len(whole) // 3, len(whole), 11))
    assert len(gathering._keys_of_all(file)) < 4


@pytest.mark.parametrize("step", STEPS)
def test_rounding_is_to_the_nearest_multiple_of_the_step(step: Rounding) -> None:
    z = np.random.default_rng(0).normal(size=1000).astype("f4") * 30
    rounded = round_logits(z, step)
    assert np.array_equal(rounded * 2**step.n, np.rint(rounded * 2**step.n))
    assert np.abs(rounded.astype("f8") - z).max() <= 2.0 ** -(step.n + 1)
    assert next(roundings_of(rounded)) == step
    assert not are_rounded(z)


@pytest.mark.parametrize("n_bits", [12, 14, 16])
def test_what_was_rounded_to_bits_is_rounded_to_a_step_too(store, n_bits: int) -> None:
    """As versions before steps wrote them: so many bits after the leading one."""
    rows = fill(store, 1)
    whole = of_all(store, rows)
    bits = Rounding("bits", n_bits)
    store.write(
        rows[0],
        [
            (i, split, int(label), round_logits(z, bits).tolist(), None)
            for split, (ids, labels, of_split) in whole[0].items()
            for i, label, z in zip(ids, labels, of_split, strict=True)
        ],
    )
    assert logit_differences(of_all(store, rows)[0], whole[0]) == []

    assert gather(store.root, rounded=True).n_rounded == 1

    (kept,) = of_all(store, rows)
    assert all(step_of(z) is not None for _, _, z in kept.values())
    assert contradicted(rows[0], kept) == ((), "")
    # What is run again is rounded to the same bits, and then to the step, before it is compared.
    assert logit_differences(kept, whole[0]) == []
    changed = {split: (ids, labels, z + 0.1) for split, (ids, labels, z) in whole[0].items()}
    assert len(logit_differences(kept, changed)) == len(kept)


@pytest.mark.parametrize("n_bits", [10, 12, 14, 16])
@pytest.mark.parametrize("step", STEPS)
def test_rounding_to_bits_and_a_step_twice_changes_nothing(step: Rounding, n_bits: int) -> None:
    z = np.random.default_rng(0).normal(size=1000).astype("f4") * 30
    both = Rounding("step", step.n, after=Rounding("bits", n_bits))
    once = round_logits(z, both)
    assert both in set(roundings_of(once))
    assert np.array_equal(once, round_logits(round_logits(z, Rounding("bits", n_bits)), step))


def test_a_second_rounding_leaves_what_is_rounded(store) -> None:
    rows = fill(store, 2)
    whole = of_all(store, rows)
    gather(store.root, rounded=True)
    once = of_all(store, rows)
    gather(store.root, rounded=True)
    for first, second, before in zip(once, of_all(store, rows), whole, strict=True):
        assert all(np.array_equal(first[split][2], second[split][2]) for split in first)
        assert logit_differences(second, before) == []


def test_what_earlier_versions_rounded_to_bits_twice_is_compared_with_what_is_run_again() -> None:
    z = np.random.default_rng(0).normal(size=(1000, 3)).astype("f4") * 9
    once = round_logits(round_logits(z, Rounding("bits", 12)), Rounding("bits", 10))
    settled = round_logits(round_logits(once, Rounding("step", 9)), Rounding("step", 8, 3))
    ids, labels = tuple(map(str, range(1000))), np.zeros(1000, int)
    again = {"test": (ids, labels, z)}
    for kept in (once, round_logits(once, Rounding("step", 9)), settled):
        assert logit_differences({"test": (ids, labels, kept)}, again) == []
        other = {"test": (ids, labels, z * np.float32(1.01))}
        assert len(logit_differences({"test": (ids, labels, kept)}, other)) == 1


@pytest.mark.parametrize("way", SHIFTED[::7])
def test_a_constant_before_rounding_leads_to_other_multiples_and_then_to_none(way: Rounding):
    z = np.random.default_rng(0).normal(size=1000).astype("f4") * 30
    once = round_logits(z, way)
    assert step_of(once) == way.n
    assert np.abs(once - (z + way.shift / 16 * 2.0**-way.n)).max() <= 2.0 ** -(way.n + 1) + 1e-5
    assert np.array_equal(round_logits(once, way), once)
    assert way in set(roundings_of(once))


def test_rounded_logits_are_told_from_the_first_class_and_no_metric_changes(store) -> None:
    rows = fill(store, 3)
    whole = of_all(store, rows)
    gather(store.root, rounded=True)
    for row, kept, ran in zip(rows, of_all(store, rows), whole, strict=True):
        for split in ("val", "test"):
            z, before = kept[split][2], ran[split][2]
            assert not z[:, 0].any()
            assert not np.signbit(z[z == 0]).any()
            assert np.abs(z - (before - before[:, :1])).max() < 2.0 ** -step_of(z) + 1e-6
        assert contradicted(row, kept) == ((), "")
        assert logit_differences(kept, ran) == logit_differences(ran, kept) == []
        changed = {split: (*of, z * np.float32(1.01)) for split, (*of, z) in ran.items()}
        assert len(logit_differences(kept, changed)) == 2


def test_what_was_rounded_as_it_came_is_told_from_the_first_class_too(store, monkeypatch) -> None:
    """As versions before wrote them: settled, with a logit for each class."""
    rows = fill(store, 3)
    whole = of_all(store, rows)
    with monkeypatch.context() as earlier:
        earlier.setattr(gathering, "less_first", np.asarray)
        gather(store.root, rounded=True)
    before = of_all(store, rows)
    assert all(of["test"][2][:, 0].any() for of in before)

    gather(store.root, rounded=True)

    for kept, old, ran in zip(of_all(store, rows), before, whole, strict=True):
        z, of_old = kept["test"][2], old["test"][2]
        assert np.array_equal(z, of_old - of_old[:, :1])
        assert logit_differences(kept, ran) == logit_differences(kept, old) == []


def steps_of(store: Store, rows: list[dict[str, Any]]) -> list[int | None]:
    return [step_of(of["test"][2]) for of in of_all(store, rows)]


def test_one_of_all_constants_lets_a_coarser_step_change_no_metric(store, monkeypatch) -> None:
    """What a version before constants wrote is rounded again, once."""
    rows = fill(store, 6)
    whole = of_all(store, rows)
    with monkeypatch.context() as earlier:
        earlier.setattr(gathering, "SHIFTED", STEPS)
        earlier.setattr(gathering, "SETTLED", {})
        earlier.setattr(gathering, "less_first", np.asarray)
        gather(store.root, rounded=True)
    before = steps_of(store, rows)

    file = gather(store.root, rounded=True).file

    after = steps_of(store, rows)
    assert all(new <= old for new, old in zip(after, before, strict=True))
    assert sum(after) < sum(before)
    for row, kept, ran in zip(rows, of_all(store, rows), whole, strict=True):
        assert contradicted(row, kept) == ((), "")
        assert logit_differences(kept, ran) == logit_differences(ran, kept) == []
    changed = {split: (ids, labels, z * 1.01) for split, (ids, labels, z) in whole[0].items()}
    assert len(logit_differences(of_all(store, rows)[0], changed)) == len(changed)
    assert gather(store.root, rounded=True).file == file
    assert gather(store.root).file == file  # not asked to round: it is settled all the same


def test_single_files_of_rounded_logits_stay_as_they_are(store, tmp_path) -> None:
    rows = fill(store, 3)
    gather(store.root, rounded=True)
    once = of_all(store, rows)
    other = open_store(tmp_path / "other", create=True)
    merge([store.root], other.root)
    gather(other.root, rounded=True)
    assert all(
        np.array_equal(first[split][2], second[split][2])
        for first, second in zip(once, of_all(other, rows), strict=True)
        for split in first
    )


def test_the_command_gathers_logits(store) -> None:
    fill(store, 2)
    result = CliRunner().invoke(
        app, ["compact", "--results", str(store.root), "--logits", "rounded"]
    )
    assert result.exit_code == 0, result.output
    assert "logits of 2 trials in gathered/" in result.output
    again = CliRunner().invoke(
        app, ["compact", "--results", str(store.root), "--logits", "gathered"]
    )
    assert "0 single files gathered" in again.output
