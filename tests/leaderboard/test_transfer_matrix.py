"""Transfer matrices of hand-made rows."""

from math import isnan
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.leaderboard.board import build
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.tables.text import lay_out
from lmd_bench.leaderboard.transfer import command, losses, matrices, transfer_frame, transfer_text
from lmd_bench.store.rows import make_row, spec_of
from lmd_bench.store.store import open_store

Row = dict


def _task(factor: float, **more) -> TaskSpec:
    return TaskSpec("toy", imbalance_factor=factor, image_size=32, **more)


def moved(source: Row, target: Row, seed: int, score: float | None) -> Row:
    """Return the row of a transferred run: the source's config on the target's task."""
    spec = spec_of(source)
    there = {"task": spec_of(target).task, "task_fingerprint": target["task_fingerprint"]}
    changes = {**there, "phase": "transfer", "seed": seed, "study": "there/transfer"}
    run = TrialSpec(**vars(spec) | changes)
    context = TrialContext(Path("unused"), source_key=source["key"])
    facts = {"seconds": 1.0, "standalone_seconds": 1.0}
    facts |= {"started_at": "2025-01-01T00:00:00+00:00", "finished_at": "2025-01-01T00:00:10+00:00"}
    if score is None:
        return make_row(run, context, status="oom", cause="out of memory", **facts)
    return make_row(run, context, status="ok", test_balanced_accuracy=score, **facts)


@pytest.fixture
def rows(study) -> list[Row]:
    """Return crt, trial 1 selected at 10 and trial 2 at 100, used at 100 and not at 10."""
    low = study("crt", [0.3, 0.6, 0.4], {1: [0.80, 0.90]}, task=_task(10.0))
    high = study("crt", [0.3, 0.4, 0.6], {2: [0.50, 0.60]}, task=_task(100.0))
    there = [moved(low[1], high[0], 1000, 0.45), moved(low[1], high[0], 1001, 0.57)]
    return [*low, *high, *there]


def test_a_matrix_holds_native_and_transferred_runs(rows: list[Row]) -> None:
    ((matrix,), notes) = matrices(rows, RULE)

    low, high = (one.task for one in matrix.tuned)
    assert (matrix.method, notes) == ("crt", [])
    assert matrix.cells[low, low].spread.mean == pytest.approx(0.85)
    assert matrix.cells[high, high].spread.mean == pytest.approx(0.55)
    assert matrix.cells[low, high].spread.mean == pytest.approx(0.51)
    assert matrix.cells[low, high].spread.sd == pytest.approx(0.12 / 2**0.5)
    assert matrix.cells[low, high].missing == ()
    assert matrix.cells[high, low].missing == (1000, 1001)


def test_the_loss_is_paired_on_seeds(rows: list[Row]) -> None:
    ((matrix,), _) = matrices(rows, RULE)
    low, high = (one.task for one in matrix.tuned)
    found = losses(None, matrix.cells)

    # .50 - .45 and .60 - .57: mean .04, half a width of 12.706 x .02 / 2
    assert found[low, high].value == pytest.approx(0.04)
    assert found[low, high].seeds.high == pytest.approx(0.04 + 12.7062 * 0.01, abs=1e-4)
    assert isnan(found[low, high].interval.low)  # seeds alone are no headline
    assert isnan(found[high, low].value)
    assert set(found) == {(low, high), (high, low)}


def test_a_transferred_run_counts_as_tuned_nowhere(rows: list[Row]) -> None:
    tuned = [row for row in rows if row["phase"] != "transfer"]

    assert [s.rows for s in group_studies(rows)] == [s.rows for s in group_studies(tuned)]
    assert build(rows).frame.equals(build(tuned).frame)
    assert build(rows).notes == build(tuned).notes


def test_a_config_that_is_confirmed_there_already_fills_the_cell(study) -> None:
    # trial 0 is selected at 10, and confirmed at 100 as the default
    low = study("crt", [0.6, 0.4], {0: [0.8, 0.9]}, task=_task(10.0))
    high = study("crt", [0.4, 0.6], {0: [0.3, 0.4], 1: [0.5, 0.6]}, task=_task(100.0))
    ((matrix,), _) = matrices([*low, *high], RULE)
    a, b = (one.task for one in matrix.tuned)

    assert matrix.cells[a, b].spread.mean == pytest.approx(0.35)
    assert matrix.cells[a, b].missing == ()
    assert losses(None, matrix.cells)[a, b].value == pytest.approx(0.2)


def test_the_same_config_loses_nothing_and_is_marked(study) -> None:
    low = study("crt", [0.6], {0: [0.8, 0.9]}, task=_task(10.0))
    high = study("crt", [0.6], {0: [0.3, 0.4]}, task=_task(100.0))
    ((matrix,), _) = matrices([*low, *high], RULE)
    lost = [losses(None, matrix.cells)]

    assert all(cell.same_config for cell in matrix.cells.values())
    assert [one.value for one in lost[0].values()] == [0.0, 0.0]
    lines = [
        line.split() for line in lay_out(transfer_text([matrix], lost, [], RULE, (Path(),)), 400)
    ]
    assert ["IF", "10", "IF", "100", "="] in lines


def test_a_failed_run_is_shown_as_failed_and_not_as_missing(rows: list[Row]) -> None:
    selected = rows[7]
    assert (selected["trial_number"], selected["imbalance_factor"]) == (2, 100)
    failed = [moved(selected, rows[0], seed, None) for seed in (1000, 1001)]
    ((matrix,), _) = matrices([*rows, *failed], RULE)
    low, high = (one.task for one in matrix.tuned)

    assert matrix.cells[high, low].missing == ()
    assert len(matrix.cells[high, low].failed) == 2
    text = "\n".join(
        lay_out(transfer_text([matrix], [losses(None, matrix.cells)], [], RULE, (Path(),)), 400)
    )
    assert "– (2 failed)" in text
    assert "Missing:" not in text


def test_what_is_missing_is_named_with_the_command_that_fills_it(rows: list[Row]) -> None:
    ((matrix,), _) = matrices(rows, RULE)
    low, high = (one.task for one in matrix.tuned)
    lost = [losses(None, matrix.cells)]
    text = "\n".join(lay_out(transfer_text([matrix], lost, ["a note"], RULE, (Path("here"),)), 400))

    wanted = "lmd-bench transfer --method crt --from 01234567 --to 01234567 --results here"
    assert command(matrix.cells[high, low], (Path("here"),)) == wanted
    assert f"Missing: {wanted}" in text
    assert "85.0 ± 7.1" in text
    assert "Note: a note." in text
    frame = transfer_frame([matrix], lost, RULE, (Path("here"),))
    assert len(frame) == 4
    assert frame["n_missing"].tolist() == [0, 0, 2, 0]
    assert frame.loc[1, "loss"] == pytest.approx(0.04)


def test_of_several_studies_the_one_with_most_trials_stands_for_its_task(study, rows) -> None:
    other = [
        row | {"study": "another", "key": row["key"][::-1]}
        for row in study("crt", [0.3], {0: [0.1, 0.1]}, task=_task(10.0))
    ]
    ((matrix,), notes) = matrices([*rows, *other], RULE)

    assert matrix.tuned[0].study.study != "another"
    assert any("several studies" in note and "another" in note for note in notes)


def test_with_logits_the_loss_is_known_over_images_and_retrainings(tmp_path: Path, rows) -> None:
    labels = np.repeat(np.arange(4), 25)
    store = open_store(tmp_path, create=True)
    rng = np.random.default_rng(0)
    for row in rows:
        rate = row["test_balanced_accuracy"] if row["phase"] != "search" else None
        logits = []
        if rate is not None:
            right = rng.uniform(size=100) < rate
            scores = np.eye(4)[np.where(right, labels, (labels + 1) % 4)].tolist()
            pairs = enumerate(zip(labels.tolist(), scores, strict=True))
            logits = [(f"i{i:03}", "test", y, z) for i, (y, z) in pairs]
        store.write(row, logits)
    ((matrix,), _) = matrices(store.rows(), RULE)
    low, high = (one.task for one in matrix.tuned)
    loss = losses(store, matrix.cells)[low, high]

    assert loss.images.low < loss.images.high
    assert loss.interval.low < loss.value < loss.interval.high
    assert loss.interval.over.endswith("and 2 retraining seeds")
