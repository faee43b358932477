"""A real search with trackers: all rows are in each of them, and a dead server ends nothing."""

import struct
from pathlib import Path

import pytest
from drill import PATIENCE, finish, start

from lmd_bench.store.store import open_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2 * PATIENCE),
    # Of packages that are not ours, at import.
    pytest.mark.filterwarnings("ignore"),
]
TINY = (
    "search --dataset synthetic --image-size 16 --imbalance-factor 10 --n-max 40 --method crt "
    "--trials 2 --epochs 1 --confirm-seeds 1 --set crt.n_epochs=1 --set training.stem=imagenet"
)


def in_mlflow(place: Path) -> dict[str, dict[str, float]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=place.as_uri())
    runs = client.search_runs([client.get_experiment_by_name("lmd-bench").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    return {run.data.tags["lmd_bench.key"]: run.data.metrics for run in runs}


def in_tensorboard(place: Path) -> dict[str, dict[str, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for folder in place.glob("*/*"):
        events = EventAccumulator(str(folder))
        events.Reload()
        tags = events.Tags()["scalars"]
        found[folder.name] = {tag: events.Scalars(tag)[-1].value for tag in tags}
    return found


def in_wandb(place: Path) -> dict[str, dict[str, float]]:
    from test_trackers import wandb_records

    found = {}
    for folder in place.glob("wandb/offline-run-*"):
        key = folder.name.rpartition("-")[2]
        found[key] = {
            item.key or item.nested_key[0]: float(item.value_json)
            for record in wandb_records(place, key)
            if record.HasField("summary")
            for item in record.summary.update
            if not item.value_json.startswith(("{", '"'))
        }
    return found


def test_a_search_is_in_every_tracker(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tracking")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # later versions open it so alone
    results = tmp_path / "results"
    places = ["--track", f"mlflow={tmp_path / 'mlflow'}", "--track", "wandb"]
    places += ["--track", f"tensorboard={tmp_path / 'board'}"]
    said = finish(start(results, tmp_path / "cache", 2, *places, asked=TINY))
    assert "Not all rows" not in said
    rows = {row["key"]: row for row in open_store(results).rows()}
    assert {row["phase"] for row in rows.values()} == {"search", "confirm"}
    found = [in_mlflow(tmp_path / "mlflow"), in_tensorboard(tmp_path / "board"), in_wandb(results)]
    for of_tracker in found:
        assert of_tracker.keys() == rows.keys()
        for key, row in rows.items():
            score = row["val_balanced_accuracy"]
            assert of_tracker[key]["val_balanced_accuracy"] == pytest.approx(score, abs=1e-6)
            losses = [p["loss"] for p in row["curve"] if p["stage"] == "representation"]
            logged = of_tracker[key]["representation/loss"]
            assert struct.pack("f", logged) == struct.pack("f", losses[-1])
    # The same again sends nothing twice, though nothing is run.
    finish(start(results, tmp_path / "cache", 2, *places, asked=TINY))
    assert in_mlflow(tmp_path / "mlflow").keys() == rows.keys()
    assert in_wandb(results).keys() == rows.keys()


def test_a_search_whose_trackers_are_dead_ends_well(tmp_path):
    results, dead = tmp_path / "results", "http://127.0.0.1:9"
    places = ["--track", f"mlflow={dead}", "--track", f"wandb={dead}"]
    key = {"WANDB_API_KEY": "0" * 40}
    said = finish(start(results, tmp_path / "cache", 2, *places, asked=TINY, **key))
    assert said.count("Not all rows are in mlflow (") == 1
    assert said.count("Not all rows are in wandb (") == 1
    assert {row["status"] for row in open_store(results).rows()} == {"ok"}
