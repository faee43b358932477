"""A trial on the built-in data: same numbers, failures as rows, test out of reach."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import (
    DataSource,
    TaskSpec,
    TrialContext,
    TrialSpec,
    keyed,
    no_report,
)
from lmd_bench.data import batches as pixels
from lmd_bench.data.images import prepare as images
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.tasks.task import build_task, open_test
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.limits import n_parts
from lmd_bench.methods.models.encoder import stem_for
from lmd_bench.methods.pipeline import resolve
from lmd_bench.methods.settings import default_config
from lmd_bench.store.store import open_store
from lmd_bench.training import encoders, trial

TASK = TaskSpec("synthetic", imbalance_factor=20.0, image_size=16, n_max=100)


def make_spec(method: str = "crt", phase: str = "search", seed: int = 0, **settings) -> TrialSpec:
    named = resolve_method(method)
    # The stock stem: at 16 px the small one costs 15 times as much, and nothing here is about it.
    quick = {"training.batch_size": 32, "training.stem": "imagenet"}
    config = default_config(named, {**quick, **settings})
    versions = {
        named.representation: plugins.load("representation", named.representation).VERSION,
        named.calibration: plugins.load("calibration", named.calibration).VERSION,
    }
    return TrialSpec(
        task=TASK,
        task_fingerprint=fingerprint(),
        method=named.name,
        representation=named.representation,
        calibration=named.calibration,
        config=config,
        seed=seed,
        n_epochs=2,
        phase=phase,
        versions=versions,
    )


def fingerprint() -> str:
    prepared = images.prepare("synthetic", DataSource(), 16)
    return build_task(prepared.table, TASK, prepared.fingerprint).fingerprint


def run(spec: TrialSpec, results: Path, on_epoch=no_report):
    return trial.execute_trial(spec, TrialContext(results=results, device="cpu"), on_epoch)


@pytest.mark.parametrize("method", ["crt", "lmd"])
def test_the_same_seed_and_config_give_the_same_numbers(method: str, tmp_path: Path):
    short = {"icc.em_epochs": 2, "icc.estep_steps": 3, "icc.lbfgs_iterations": 3}
    spec = make_spec(method, phase="confirm", **(short if method == "lmd" else {}))
    rows = [run(spec, tmp_path / name) for name in ("first", "second")]
    stores = [open_store(tmp_path / name) for name in ("first", "second")]
    logits = [store.read_logits(spec.key) for store in stores]
    for split in ("val", "test"):
        np.testing.assert_array_equal(logits[0][split][2], logits[1][split][2])
    assert rows[0]["status"] == "ok"
    assert rows[0]["test_balanced_accuracy"] == rows[1]["test_balanced_accuracy"]
    assert rows[0]["curve"] == rows[1]["curve"]


def test_another_seed_gives_other_numbers(tmp_path: Path):
    run(make_spec(seed=0), tmp_path)
    run(make_spec(seed=1), tmp_path)
    store = open_store(tmp_path)
    a, b = (store.read_logits(make_spec(seed=seed).key)["val"][2] for seed in (0, 1))
    assert not np.array_equal(a, b)


def test_no_test_image_is_opened_before_confirmation(tmp_path: Path, monkeypatch):
    opened: set[int] = set()
    gather = pixels.gather

    def spy(mapped, rows, **settings):
        opened.update(int(row) for row in rows)
        return gather(mapped, rows, **settings)

    monkeypatch.setattr(pixels, "gather", spy)
    monkeypatch.setattr(PreparedImages, "read", None)  # the other way to pixels
    prepared = images.prepare("synthetic", DataSource(), 16)
    task = build_task(prepared.table, TASK, prepared.fingerprint)
    test = {int(index) for index in open_test(prepared.table, task, prepared.fingerprint)}
    row = run(make_spec("lmd"), tmp_path)
    assert row["status"] == "ok"
    assert opened.isdisjoint(test)
    assert row["test_balanced_accuracy"] is None
    assert "test" not in open_store(tmp_path).read_logits(row["key"])
    run(make_spec("lmd", phase="confirm"), tmp_path)
    assert test <= opened


def test_calibrations_share_one_encoder_and_each_row_carries_both_prices(tmp_path: Path):
    first = run(make_spec("cross_entropy"), tmp_path)
    second = run(make_spec("logit_adjustment"), tmp_path)
    assert first["encoder_key"] == second["encoder_key"] == make_spec().encoder_key
    assert second["standalone_seconds"] > second["seconds"]
    assert len(list((tmp_path / "encoders").glob("[!.]*"))) == 1


def test_the_encoder_key_changes_with_stage_one_and_not_with_stage_two():
    base = make_spec("crt")
    assert base.encoder_key == make_spec("crt", **{"crt.lr": 0.1}).encoder_key
    assert base.encoder_key != make_spec("crt", **{"training.lr": 0.1}).encoder_key
    assert base.encoder_key != make_spec("crt", seed=1).encoder_key
    assert base.encoder_key != dataclasses.replace(base, n_epochs=3).encoder_key
    assert base.encoder_key != dataclasses.replace(base, task_fingerprint="x").encoder_key


def test_a_divergence_is_a_row_with_its_cause_and_traceback(tmp_path: Path):
    row = run(make_spec("cross_entropy", **{"training.lr": 1e30}), tmp_path)
    assert row["status"] == "diverged"
    assert "representation epoch 1" in row["cause"]
    assert row["val_balanced_accuracy"] is None
    assert (tmp_path / "tracebacks" / f"{row['key']}.txt").is_file()
    assert open_store(tmp_path).get(row["key"])["status"] == "diverged"


def test_an_ordinary_error_is_a_row_and_leaves_no_half_encoder(tmp_path: Path, monkeypatch):
    def broken(*arguments, **settings):
        raise RuntimeError("something\nbroke")

    monkeypatch.setattr("lmd_bench.training.encoders.train", broken)
    row = run(make_spec(), tmp_path)
    assert (row["status"], row["cause"]) == ("error", "RuntimeError: something broke")
    assert not list((tmp_path / "encoders").glob("[!.]*"))


def test_out_of_memory_is_a_row(tmp_path: Path, monkeypatch):
    def greedy(*arguments, **settings):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr("lmd_bench.training.encoders.train", greedy)
    assert run(make_spec(), tmp_path)["status"] == "oom"


def test_data_other_than_planned_stop_the_trial(tmp_path: Path):
    spec = dataclasses.replace(make_spec(), task_fingerprint="0" * 20)
    with pytest.raises(UserError, match="the trials are of task 00000"):
        run(spec, tmp_path)


def test_a_row_tells_all_that_shaped_it(tmp_path: Path):
    spec = make_spec()
    row = run(spec, tmp_path)
    assert row["key"] == spec.key
    assert json.loads(row["config_json"]) == dict(keyed(spec.config))
    assert row["class_counts"][0] == 100
    assert row["n_train"] == sum(row["class_counts"])
    assert {point["stage"] for point in row["curve"]} == {"representation", "calibration"}
    assert set(json.loads(row["library_versions_json"])) >= {"torch", "optuna", "ray"}


def test_a_damaged_encoder_is_trained_anew(tmp_path: Path):
    first = run(make_spec("cross_entropy+ncm"), tmp_path)
    folder = tmp_path / "encoders" / first["encoder_key"]
    model = folder / "model.safetensors"
    model.write_bytes(model.read_bytes()[:1000])
    again = run(make_spec("cross_entropy+ncm"), tmp_path)
    assert again["status"] == "ok"
    assert again["val_balanced_accuracy"] == first["val_balanced_accuracy"]
    assert len(model.read_bytes()) > 1000


def test_a_full_disk_stops_the_trial_with_a_sentence_and_no_row(tmp_path: Path, monkeypatch):
    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lmd_bench.training.encoders.write_tensors", full)
    with pytest.raises(UserError, match="No space left on device"):
        run(make_spec(), tmp_path)
    assert not (tmp_path / "trials").exists()
    assert not list((tmp_path / "encoders").glob("*.tmp"))


def test_a_trial_that_falls_behind_is_a_row_with_its_epochs_and_no_encoder(tmp_path: Path):
    spec = dataclasses.replace(make_spec("cross_entropy"), n_epochs=3)
    context = TrialContext(results=tmp_path, device="cpu", thresholds=((2, 1.1),))
    row = trial.execute_trial(spec, context, no_report)
    assert row["status"] == "pruned"
    assert row["fidelity"] == 2
    assert [point["epoch"] for point in row["curve"]] == [1, 2]
    assert not list(tmp_path.glob("encoders/[!.]*"))
    assert not (tmp_path / "tracebacks").exists()


def test_a_trial_over_its_time_is_a_row(tmp_path: Path):
    context = TrialContext(results=tmp_path, device="cpu", time_limit=1e-9)
    row = trial.execute_trial(make_spec("cross_entropy"), context, no_report)
    assert (row["status"], row["fidelity"]) == ("timeout", 1)


def test_memory_that_runs_out_cuts_the_batch_into_parts(tmp_path: Path, monkeypatch):
    plain = run(make_spec("cross_entropy"), tmp_path / "plain")
    assert plain["n_micro_batches"] == 1
    real, tried = encoders.train, []

    def train(*arguments):
        tried.append(n_parts())
        if n_parts() < 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*arguments)

    monkeypatch.setattr(encoders, "train", train)
    row = run(make_spec("cross_entropy"), tmp_path / "parts")
    assert tried == [1, 1, 2, 4]
    assert (row["status"], row["n_micro_batches"], row["n_parts"]) == ("ok", 4, 4)
    assert (plain["recomputed"], row["recomputed"]) == (False, True)
    assert row["key"] == plain["key"]
    shared = run(make_spec("logit_adjustment"), tmp_path / "parts")
    assert shared["n_micro_batches"] == 4  # what it stands on was trained so
    assert shared["n_parts"] == 1


def test_a_calibration_stands_on_the_last_encoder_and_the_own_head_on_its_best(tmp_path: Path):
    """Both come from one training, whichever of the two asked first."""
    names = ("cross_entropy", "cross_entropy+ncm")
    for order in (names, names[::-1]):
        rows = {name: run(make_spec(name), tmp_path / order[0]) for name in order}
        own, calibrated = (rows[name] for name in names)
        curve = [p["val_balanced_accuracy"] for p in own["curve"] if p["stage"] == "representation"]
        assert own["best_epoch"] == len(curve) - int(np.argmax(curve[::-1]))
        assert calibrated["best_epoch"] == len(curve)
        assert own["val_balanced_accuracy"] == pytest.approx(max(curve))
        assert own["encoder_key"] == calibrated["encoder_key"]
        assert own["probe_val_balanced_accuracy"] == calibrated["probe_val_balanced_accuracy"]
        assert (own["full_objective_share"], calibrated["full_objective_share"]) == (1.0, 1.0)
    assert not list(tmp_path.glob("*/encoders/.*.tmp"))


def test_the_encoder_is_the_same_from_training_and_from_the_cache(tmp_path: Path):
    trained = run(make_spec("cross_entropy+ncm"), tmp_path)
    again = dataclasses.replace(make_spec("cross_entropy+ncm"), study="again")
    assert run(again, tmp_path)["val_balanced_accuracy"] == trained["val_balanced_accuracy"]


def test_images_below_96_px_get_the_small_stem_unless_another_is_named():
    def stem(spec: TrialSpec) -> str:
        return stem_for(resolve(spec).training, spec.task.image_size)

    assert stem(make_spec(**{"training.stem": "auto"})) == "small"
    assert stem(make_spec()) == "own"
    large = dataclasses.replace(TASK, image_size=96)
    spec = dataclasses.replace(make_spec(**{"training.stem": "auto"}), task=large)
    assert stem(spec) == "own"


def test_lesions_are_kept_with_the_logits_as_hashes_that_name_none(tmp_path: Path):
    row = run(make_spec("cross_entropy", phase="confirm"), tmp_path)
    store = open_store(tmp_path)
    table = images.prepare("synthetic", DataSource(), 16).table
    lesion_of = dict(zip(table.image_ids, table.groups, strict=True))

    ids, groups = (store.read_logits(row["key"])["test"][0], store.read_groups(row["key"])["test"])

    hash_of = dict(zip((lesion_of[image_id] for image_id in ids), groups, strict=True))
    assert len(set(hash_of.values())) == len(hash_of) < len(ids)
    assert all(hash_of[lesion_of[i]] == g for i, g in zip(ids, groups, strict=True))
    assert all(g is not None and len(g) == 20 for g in groups)
