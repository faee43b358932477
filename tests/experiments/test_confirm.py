"""`lmd-bench confirm`: a stored trial retrained on the task's seeds."""

from pathlib import Path

import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec, TrialContext, TrialSpec
from lmd_bench.experiments.confirm import checked_spec, confirmation_seeds, search_row
from lmd_bench.leaderboard import load
from lmd_bench.leaderboard.studies.rules import RULES
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store
from lmd_bench.training.single import train_one
from lmd_bench.training.trial import execute_trial

FACTS = {
    "status": "ok",
    "seconds": 1.0,
    "standalone_seconds": 1.0,
    "started_at": "2025-01-01T00:00:00+00:00",
    "finished_at": "2025-01-01T00:00:01+00:00",
}


def _row(number: int = 0, source: str = "", seed: int = 0, **measured) -> dict:
    spec = TrialSpec(
        task=TaskSpec(dataset="toy", imbalance_factor=10.0),
        task_fingerprint="0123456789",
        method="crt",
        representation="cross_entropy",
        calibration="crt",
        config={"training.lr": 0.1 + number},
        seed=seed,
        n_epochs=2,
        phase="confirm" if source else "search",
        study="toy/crt",
        versions={"crt": 1},
    )
    context = TrialContext(results=Path("unused"), trial_number=number, source_key=source)
    return make_row(spec, context, **FACTS | measured)


def test_a_spec_is_rebuilt_from_its_row() -> None:
    row = _row(3)

    assert checked_spec(row).key == row["key"]
    assert checked_spec(row).config == {"training.lr": 3.1}


def test_a_row_of_another_version_is_refused() -> None:
    row = _row() | {"key": "0" * 20}

    with pytest.raises(UserError, match="whose trials differ from those of this version"):
        checked_spec(row)


def test_the_beginning_of_a_key_is_enough_if_it_is_one() -> None:
    rows = [_row(number) for number in range(20)]

    assert search_row(rows, rows[7]["key"][:12]) is rows[7]
    with pytest.raises(UserError, match="20 keys begin with ''"):
        search_row(rows, "")
    with pytest.raises(UserError, match="No search trial has a key"):
        search_row(rows, "xyz")


def test_a_failed_trial_is_not_confirmed() -> None:
    row = _row(status="diverged", cause="loss nan")

    with pytest.raises(UserError, match=r"failed \(loss nan\)"):
        search_row([row], row["key"])


def test_the_seeds_are_those_of_the_tasks_other_runs() -> None:
    row = _row(0)
    runs = [_row(1, source="other", seed=seed) for seed in (9, 4)]

    assert confirmation_seeds([row, *runs], row) == [4, 9]
    with pytest.raises(UserError, match="no seeds to share"):
        confirmation_seeds([row], row)


@pytest.mark.slow
def test_a_missing_cell_is_filled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = TaskSpec("synthetic", imbalance_factor=20.0, image_size=32, n_max=100)
    single = train_one(task, "cross_entropy", 1, 0, [], tmp_path / "one", DataSource(), "")
    spec = checked_spec(single)

    def silent(progress) -> None: ...

    rows = []
    for number, lr in enumerate((0.05, 0.01)):
        config = dict(spec.config) | {"training.lr": lr}
        trial = TrialSpec(**vars(spec) | {"config": config, "phase": "search", "study": "s"})
        rows.append(execute_trial(trial, TrialContext(tmp_path, trial_number=number), silent))
    run = TrialSpec(**vars(checked_spec(rows[0])) | {"phase": "confirm", "seed": 5})
    execute_trial(run, TrialContext(tmp_path, source_key=rows[0]["key"]), silent)

    app(["confirm", rows[1]["key"][:10], "--results", str(tmp_path)], standalone_mode=False)

    store = open_store(tmp_path)
    added = [row for row in store.rows() if row["source_key"] == rows[1]["key"]]
    assert [row["seed"] for row in added] == [5]
    assert added[0]["test_balanced_accuracy"] is not None
    assert not any("missing" in note for note in load(tmp_path, RULES["oracle_test"]).notes)

    def fail(*arguments) -> None:
        raise AssertionError("it is there already")

    monkeypatch.setattr(trial, "execute_trial", fail)
    app(["confirm", rows[1]["key"], "--results", str(tmp_path)], standalone_mode=False)
