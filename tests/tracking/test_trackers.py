"""Rows in each tracker, read back by what the tracker itself is read with."""

import json
import math
import struct
from importlib.util import find_spec
from pathlib import Path

import pytest

from lmd_bench.contract.check import checks
from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store
from lmd_bench.tracking.entry import entry_of
from lmd_bench.tracking.sending import Destination, destinations, opened, send_all

# Trackio's Pillow is older than the one here, so it is tried where somebody installed it.
TRACKERS = [
    pytest.param(name, marks=() if find_spec(name) else pytest.mark.skip(f"{name} is missing"))
    for name in plugins.names("trackers")
]
# Of packages that are not ours, at import.
quietly = pytest.mark.filterwarnings("ignore")


def write_row(results: Path, seed: int = 0, finished: str = "10", **measured) -> str:
    """Write the row of a trial and return its key."""
    spec = TrialSpec(
        TaskSpec("synthetic", imbalance_factor=20.0, image_size=16),
        "f" * 20,
        *("crt", "cross_entropy", "crt"),
        {"training.lr": 0.1, "training.pretrained": False, "crt.n_epochs": 2},
        seed,
        n_epochs=2,
        study="crt-synthetic",
    )
    curve = [
        {"stage": stage, "epoch": epoch, "loss": 2.0 / epoch, "val_balanced_accuracy": value}
        for stage, epoch, value in (
            *(("representation", 1, 0.25), ("representation", 2, 0.5)),
            ("calibration", 1, math.nan),
        )
    ]
    told = {"status": "ok", "val_balanced_accuracy": 0.5, "test_mcc": math.nan, "curve": curve}
    row = make_row(
        spec,
        TrialContext(results, trial_number=seed),
        seconds=10.0,
        standalone_seconds=12.0,
        started_at="2026-01-01T00:00:00+00:00",
        finished_at=f"2026-01-01T00:00:{finished}+00:00",
        **(told | measured),
    )
    open_store(results, create=True).write(row)
    return row["key"]


def mlflow_runs(place: Path) -> dict[str, object]:
    """Return what a client of MLflow sees, by key."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=place.as_uri())
    experiment = client.get_experiment_by_name("lmd-bench")
    runs = client.search_runs([experiment.experiment_id])
    assert len({run.data.tags["lmd_bench.key"] for run in runs}) == len(runs)
    return {run.data.tags["lmd_bench.key"]: (run, client) for run in runs}


def wandb_records(place: Path, key: str) -> list[object]:
    """Return what the file of an offline run holds: records in the blocks of a LevelDB log."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = place.glob(f"wandb/offline-run-*-{key}/run-{key}.wandb")
    data, block, at, whole, records = file.read_bytes(), 32768, 7, b"", []
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # all of a record, or its last part
            records.append(Record.FromString(whole))
            whole = b""
    return records


@quietly
@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_does_what_each_has_to(name):
    assert [check.failure() for check in checks("trackers", name)] == ["", ""]


def test_an_entry_holds_settings_scores_and_curves_and_nothing_that_is_not_finite(tmp_path):
    key = write_row(tmp_path)
    row = open_store(tmp_path).get(key)
    entry = entry_of(row)
    assert entry.settings["training.lr"] == 0.1
    assert entry.settings["imbalance_factor"] == 20.0
    assert entry.scores["val_balanced_accuracy"] == 0.5
    assert "test_mcc" not in entry.scores
    assert entry.curves == {
        "representation/loss": [(1, 2.0), (2, 1.0)],
        "representation/val_balanced_accuracy": [(1, 0.25), (2, 0.5)],
        "calibration/loss": [(1, 2.0)],
    }
    assert entry.ended - entry.started == 10.0


@quietly
@pytest.mark.parametrize("name", TRACKERS)
def test_rows_are_sent_once_and_one_that_ran_again_takes_the_place_of_the_old(tmp_path, name):
    place = Destination(name, str(tmp_path / "runs"))
    first, other = (write_row(tmp_path, seed=seed) for seed in range(2))
    done = send_all(tmp_path, place)
    assert (done.n_sent, done.n_before) == (2, 0)
    write_row(tmp_path, finished="50", val_balanced_accuracy=0.75)
    done = send_all(tmp_path, place)
    assert (done.n_sent, done.n_before) == (1, 1)
    assert send_all(tmp_path, place).n_sent == 0
    with opened(place, tmp_path) as tracker:
        assert sorted(tracker.stamps()) == sorted([first, other])


@quietly
def test_mlflow_has_settings_scores_and_curves(tmp_path):
    key = write_row(tmp_path)
    failed = write_row(tmp_path, seed=1, status="error", cause="it broke", curve=[])
    send_all(tmp_path, Destination("mlflow", str(tmp_path / "runs")))
    runs = mlflow_runs(tmp_path / "runs")
    run, client = runs[key]
    assert run.data.params["crt.n_epochs"] == "2"
    assert run.data.metrics["val_balanced_accuracy"] == 0.5
    assert run.info.end_time - run.info.start_time == 10_000
    points = client.get_metric_history(run.info.run_id, "representation/loss")
    assert [(point.step, point.value) for point in points] == [(1, 2.0), (2, 1.0)]
    assert runs[failed][0].info.status == "FAILED"
    assert runs[failed][0].data.tags["cause"] == "it broke"


@quietly
def test_tensorboard_has_settings_scores_and_curves(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    key = write_row(tmp_path)
    send_all(tmp_path, Destination("tensorboard", str(tmp_path / "runs")))
    events = EventAccumulator(str(tmp_path / "runs" / "crt-synthetic" / key))
    events.Reload()
    assert [e.value for e in events.Scalars("val_balanced_accuracy")] == [0.5]
    points = events.Scalars("representation/loss")
    assert [(point.step, point.value) for point in points] == [(1, 2.0), (2, 1.0)]
    assert b"crt.n_epochs" in next(iter(events.PluginTagToContent("hparams").values()))


@quietly
def test_wandb_keeps_a_run_offline_with_settings_scores_and_curves(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    key = write_row(tmp_path)
    send_all(tmp_path, Destination("wandb", str(tmp_path)))
    records = wandb_records(tmp_path, key)
    (run,) = (record.run for record in records if record.HasField("run"))
    assert (run.run_id, run.run_group) == (key, "crt-synthetic")
    config = {item.key: item.value_json for item in run.config.update}
    assert config["training.lr"] == "0.1"
    history = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in r.history.item}
        for r in records
        if r.HasField("history")
    ]
    losses = [step["representation/loss"] for step in history if "representation/loss" in step]
    assert losses == [2.0, 1.0]
    summary = {
        item.key or item.nested_key[0]: json.loads(item.value_json)
        for record in records
        if record.HasField("summary")
        for item in record.summary.update
    }
    assert summary["val_balanced_accuracy"] == 0.5


@quietly
def test_trackio_has_settings_scores_and_curves(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", "")
    pytest.importorskip("trackio")
    key = write_row(tmp_path)
    send_all(tmp_path, Destination("trackio", str(tmp_path / "runs")))
    import trackio

    (run,) = trackio.Api().runs("lmd-bench")
    assert (run.config["lmd_bench.key"], run.config["training.lr"]) == (key, 0.1)
    logs = trackio.sqlite_storage.SQLiteStorage.get_logs("lmd-bench", run.name, run_id=run.id)
    losses = [log["representation/loss"] for log in logs if "representation/loss" in log]
    assert losses == [2.0, 1.0]
    assert logs[-1]["val_balanced_accuracy"] == 0.5
    assert capsys.readouterr().out == ""
    with pytest.raises(UserError, match="is a URL; name a folder"):
        send_all(tmp_path, Destination("trackio", "http://there"))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["mlfow"], "Unknown tracker 'mlfow'.*Did you mean 'mlflow'"),
        (["mlflow", "mlflow=http://there"], "comes twice"),
    ],
)
def test_what_cannot_be_tracked_is_one_sentence(asked, sentence):
    with pytest.raises(UserError, match=sentence):
        destinations(asked)


def test_a_uri_may_hold_an_equals_sign():
    assert destinations(["mlflow=http://there/?a=b"])[0].uri == "http://there/?a=b"


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    cls = plugins.plugin_class("trackers", "mlflow")
    monkeypatch.setattr(cls, "package", "not_installed_at_all")
    with pytest.raises(UserError, match=r"pip install 'lmd-bench\[mlflow\]'"):
        destinations(["mlflow"])


@quietly
def test_a_server_that_is_not_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    write_row(tmp_path)
    with pytest.raises(UserError, match="does not take the rows"):
        send_all(tmp_path, Destination("mlflow", "http://127.0.0.1:9"))
