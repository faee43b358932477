"""Studies rebuilt for optuna-dashboard: the rows as they are, distributions that hold them."""

import shutil
import subprocess
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.methods.space import search_space
from lmd_bench.search.watching import dashboard
from lmd_bench.search.watching.dashboard import common_space, trials_of, write_studies
from lmd_bench.store.rows import Row, make_row
from lmd_bench.store.store import Store, open_store

CURVE = [
    {"stage": "representation", "epoch": 1, "loss": 2.0, "val_balanced_accuracy": 0.25},
    {"stage": "calibration", "epoch": 1, "loss": 1.0, "val_balanced_accuracy": 0.5},
]


def row(
    number: int, lr: float, value: float | None, source: Row | None = None, rank: int | None = None
) -> Row:
    spec = TrialSpec(
        task=TaskSpec("toy"),
        task_fingerprint="abc",
        method="crt",
        representation="cross_entropy",
        calibration="crt",
        config={"training.lr": 0.05, "training.backbone": "resnet18", "crt.lr": lr},
        seed=number,
        n_epochs=2,
        phase="confirm" if source else "search",
        study="toy/crt",
    )
    key = source["key"] if source else ""
    context = TrialContext(Path(), trial_number=number, encoder_rank=rank, source_key=key)
    score = {"test_balanced_accuracy" if source else "val_balanced_accuracy": value}
    return make_row(
        spec,
        context,
        status="diverged" if value is None else "ok",
        seconds=1.0,
        standalone_seconds=1.0,
        started_at="2026-01-01T00:00:00+00:00",
        finished_at="2026-01-01T00:01:00+00:00",
        curve=CURVE,
        val_few_recall=float("nan"),
        **score,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path, create=True)
    searched = [row(1, 0.2, None, rank=2), row(0, 0.1, 0.5, rank=1), row(2, 0.3, 0.75, rank=1)]
    for one in (*searched, row(7, 0.3, 0.625, source=searched[2], rank=1)):
        store.write(one)
    return store


def test_the_studies_come_back_from_the_file_as_the_rows_are(store: Store) -> None:
    file, n_studies = write_studies(store)
    file, n_studies = write_studies(store)  # in place of the first

    assert n_studies == 1
    storage = JournalStorage(JournalFileBackend(str(file)))
    study = optuna.load_study(storage=storage, study_name="toy/crt")
    assert study.user_attrs["method"] == "crt"
    assert [trial.state for trial in study.trials] == [
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.COMPLETE,
    ]
    best = study.best_trial
    assert (best.value, best.params) == (0.75, {"crt.lr": 0.3, "encoder_rank": 1})
    assert best.intermediate_values == {1: 0.25, 2: 0.5}
    assert best.user_attrs["confirmed_test_balanced_accuracy"] == [0.625]
    assert best.user_attrs["val_few_recall"] == "undefined"
    assert best.duration is not None
    assert best.duration.total_seconds() == 60
    assert study.trials[1].user_attrs["status"] == "diverged"
    assert [path.name for path in store.root.iterdir() if "tmp" in path.name] == []


def test_a_study_without_ranked_encoders_shows_the_settings_of_both_stages() -> None:
    (trial,) = trials_of([row(0, 0.1, 0.5)])
    assert trial.params == {"training.lr": 0.05, "crt.lr": 0.1}  # no backbone: it is not searched
    assert trial.distributions["crt.lr"] == search_space(["crt"])["crt.lr"]


def test_distributions_reach_as_far_as_the_values_and_no_further() -> None:
    space = {
        "lr": FloatDistribution(0.01, 1.0, log=True),
        "weight": FloatDistribution(0.5, 1.0, log=True),
        "k": IntDistribution(1, 9, step=2),
        "view": CategoricalDistribution(["weak", "strong"]),
        "absent": FloatDistribution(0.0, 1.0),
    }
    params = [
        {"lr": 0.5, "weight": 0.0, "k": 12, "view": "weak", "unknown": 1},
        {"lr": 0.02, "weight": 0.75, "k": 3, "view": "randaugment"},
    ]
    assert common_space(space, params) == {
        "lr": FloatDistribution(0.01, 1.0, log=True),
        "weight": FloatDistribution(0.0, 1.0),
        "k": IntDistribution(1, 12),
        "view": CategoricalDistribution(["weak", "strong", "randaugment"]),
    }


def test_without_the_package_the_command_says_how_to_install_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    app(["dashboard", "--results", str(store.root)], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "1 study is in" in printed
    assert "pip install 'lmd-bench[dashboard]', then optuna-dashboard " in printed


def test_with_the_package_it_is_started_on_the_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(shutil, "which", lambda name, path=None: "/bin/optuna-dashboard")
    monkeypatch.setattr(subprocess, "run", lambda command, check: started.append(command))
    app(["dashboard", "--results", str(store.root), "--port", "8081"], standalone_mode=False)
    file = str(store.root / dashboard.FILE)
    assert started == [["/bin/optuna-dashboard", "--port", "8081", file]]


def test_a_folder_without_a_search_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trials of a search in .*run lmd-bench search first"):
        write_studies(open_store(tmp_path, create=True))
