"""`lmd-bench confirm`: a stored trial retrained on the task's seeds."""

from pathlib import Path

import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec, TrialContext, TrialSpec, keyed
from lmd_bench.experiments.confirm import checked_spec, confirm, confirmation_seeds
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


TOY = TaskSpec(dataset="toy", imbalance_factor=10.0)


def _row(
    number: int = 0,
    source: str = "",
    seed: int = 0,
    task: TaskSpec = TOY,
    study: str = "toy/crt",
    **measured,
) -> dict:
    spec = TrialSpec(
        task=task,
        task_fingerprint="0123456789",
        method="crt",
        representation="cross_entropy",
        calibration="crt",
        config={"training.lr": 0.1 + number},
        seed=seed,
        n_epochs=2,
        phase="confirm" if source else "search",
        study=study,
        versions={"crt": 1},
    )
    context = TrialContext(results=Path("unused"), trial_number=number, source_key=source)
    return make_row(spec, context, **FACTS | measured)


def test_a_spec_is_rebuilt_from_its_row() -> None:
    row = _row(3)

    assert checked_spec(row).key == row["key"]
    assert keyed(checked_spec(row).config) == {"training.lr": 3.1}


def test_a_row_of_another_version_is_refused() -> None:
    row = _row() | {"key": "0" * 20}

    with pytest.raises(UserError, match="whose trials differ from those of this version"):
        checked_spec(row)


def test_only_a_search_row_is_confirmed(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    row, run = _row(7), _row(7, source="other", seed=9)
    store.write(row)
    store.write(run)

    assert store.find(row["key"][:12], "search") == row
    assert store.find(run["key"][:12]) == run
    with pytest.raises(UserError, match="No search row in .* has a key that begins with"):
        store.find(run["key"], "search")


def test_a_failed_trial_is_not_confirmed(tmp_path: Path) -> None:
    row = _row(status="diverged", cause="loss nan")
    open_store(tmp_path, create=True).write(row)

    with pytest.raises(UserError, match=r"failed \(loss nan\)"):
        next(confirm(tmp_path, [row["key"]], DataSource(), "command"))


def test_images_that_are_prepared_for_a_row_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    task = TaskSpec("synthetic", imbalance_factor=20.0, image_size=8, n_max=100)
    store, row = open_store(tmp_path, create=True), _row(0, task=task)
    store.write(row)
    store.write(_row(1, source="other", seed=4, task=task))
    told: list[str] = []

    with pytest.raises(UserError, match="the trials are of task"):
        next(
            confirm(
                tmp_path,
                [row["key"]],
                DataSource(),
                "command",
                on_images=lambda name, *_: told.append(name),
            )
        )
    assert set(told) == {"synthetic"}


def test_the_seeds_are_those_of_the_tasks_other_runs() -> None:
    row = _row(0)
    runs = [_row(1, source="other", seed=seed) for seed in (9, 4)]

    assert confirmation_seeds([row, *runs], row) == [4, 9]
    with pytest.raises(UserError, match="no seeds to share"):
        confirmation_seeds([row], row)


def test_the_seeds_are_those_of_the_same_search() -> None:
    searches = [_row(0, study=f"toy/crt/{n}", seed=n) for n in (0, 1)]
    runs = [
        _row(0, source=row["key"], seed=10 * n + seed, study=row["study"])
        for n, row in enumerate(searches)
        for seed in (4, 9)
    ]
    lacking = _row(0, study="toy/vfc/1", seed=1)

    assert confirmation_seeds([*searches, *runs, lacking], lacking) == [14, 19]
    # of a search without any confirmation, those of all
    other = _row(0, study="toy/vfc/2", seed=2)
    assert confirmation_seeds([*searches, *runs, other], other) == [4, 9, 14, 19]


def test_a_run_says_what_its_search_repeats_and_over_which_factors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path, create=True)
    row = _row(0) | {"repeat_of": "453e093c24ec", "factor_range": "20:200"}
    store.write(row)
    store.write(_row(1, source="other", seed=4))
    monkeypatch.setattr("lmd_bench.experiments.confirm.check_tasks", lambda *_: None)
    monkeypatch.setattr(
        "lmd_bench.training.trial.execute_trial",
        lambda spec, context, _: make_row(spec, context, **FACTS),
    )

    (run,) = confirm(tmp_path, [row["key"]], DataSource(), "command")

    assert (run["repeat_of"], run["factor_range"]) == ("453e093c24ec", "20:200")


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

    monkeypatch.setattr("lmd_bench.training.trial.execute_trial", fail)
    app(["confirm", rows[1]["key"], "--results", str(tmp_path)], standalone_mode=False)
