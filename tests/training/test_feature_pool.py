"""Trials on stored features: computed once for all, and a trial as any other apart from that."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec, TrialContext, TrialSpec
from lmd_bench.data.build import build_tasks, prepare_dataset
from lmd_bench.data.images import pool as pools
from lmd_bench.data.tasks.task import build_task
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.models.encoder import Encoder
from lmd_bench.methods.pipeline import resolve
from lmd_bench.methods.settings import default_config
from lmd_bench.methods.tuning import cannot_act, check_tuning, for_features
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import open_store
from lmd_bench.training import features as stored
from lmd_bench.training import limits
from lmd_bench.training import trial as executed
from lmd_bench.training.trial import execute_trial

pytestmark = pytest.mark.usefixtures("narrow_resnets")
SIZE, CPU = 16, torch.device("cpu")
TASK = TaskSpec("synthetic", "balanced", 20.0, 0, SIZE, 60)
FEW = {"training.batch_size": 32}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Return a list of the images that encoders are given, a batch at a time, in a new cache."""
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(executed, "_TASKS", {})  # nor does the process keep what others computed
    batches: list[int] = []
    forward = Encoder.forward

    def counted(self: Encoder, images: torch.Tensor) -> torch.Tensor:
        batches.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Encoder, "forward", counted)
    return batches


def trial(
    method: str = "crt", task: TaskSpec = TASK, tune: str = "frozen", **settings
) -> TrialSpec:
    named = resolve_method(method)
    settings = {f"training.{key}": value for key, value in settings.items()}
    return TrialSpec(
        task=task,
        task_fingerprint="",
        method=named.name,
        representation=named.representation,
        calibration=named.calibration,
        config=default_config(named, {**FEW, "training.tune": tune, **settings}),
        seed=0,
        n_epochs=2,
        versions=named.versions,
    )


def run(spec: TrialSpec, results: Path, source: DataSource | None = None):
    source = source or DataSource()
    ((_, fingerprint),) = build_tasks([spec.task], source)
    spec = replace(spec, task_fingerprint=fingerprint)
    return execute_trial(spec, TrialContext(results, source, device="cpu"), lambda _: None)


def test_another_factor_split_method_seed_and_layer_compute_no_feature(tmp_path: Path, computed):
    assert run(trial(), tmp_path / "r")["status"] == "ok"
    n_images = len(prepare_dataset("synthetic", DataSource(), SIZE).table)
    assert sum(computed) >= n_images
    computed.clear()
    others = [
        trial(task=replace(TASK, imbalance_factor=50.0)),
        trial(task=replace(TASK, split_seed=1)),
        trial("logistic_regression"),
        trial("balanced_softmax"),
        trial(features="penultimate"),
        trial(features="both"),
        replace(trial(), seed=1),
    ]
    for spec in others:
        assert run(spec, tmp_path / "r")["status"] == "ok"
    assert computed == []


def test_a_frozen_trial_has_the_numbers_of_a_trial_on_its_exported_features(tmp_path: Path):
    spec = trial("logistic_regression")
    frozen = run(spec, tmp_path / "r")
    prepared = prepare_dataset("synthetic", DataSource(), SIZE)
    pipeline, table = resolve(spec), prepared.table
    task = build_task(table, TASK, prepared.fingerprint, DataSource())
    given = stored.stored_features(prepared, task, pipeline, device=CPU, n_threads=1)
    assert given is not None
    names = [table.class_names[label] for label in table.labels]
    np.savez(
        tmp_path / "own.npz",
        ids=np.array(table.image_ids),
        features=given.of_view["test"][0],
        labels=np.array(names),
        groups=np.array(table.groups),
    )
    source = DataSource(root=tmp_path / "own.npz")
    own = run(
        replace(spec, task=replace(TASK, dataset="features", image_size=0)), tmp_path / "r", source
    )
    # the classes stand in another order: those of a file are sorted by name
    assert sorted(own["val_recall"]) == sorted(frozen["val_recall"])
    mean = pytest.approx(frozen["val_balanced_accuracy"], rel=1e-12)  # of another order
    assert own["val_balanced_accuracy"] == mean


def test_another_stem_has_features_of_its_own(computed):
    prepared = prepare_dataset("synthetic", DataSource(), SIZE)
    task = build_task(prepared.table, TASK, prepared.fingerprint, DataSource())

    def features(stem: str) -> np.ndarray:
        pipeline = resolve(trial(stem=stem))
        given = stored.stored_features(prepared, task, pipeline, device=CPU, n_threads=1)
        assert given is not None
        return given.of_view["test"]

    usual = features("auto")
    assert not np.array_equal(features("imagenet"), usual)
    computed.clear()
    # what `auto` takes at 16 px
    assert np.array_equal(features("small"), usual)
    assert computed == []


def test_features_do_not_depend_on_what_is_computed_with_them(tmp_path: Path, monkeypatch):
    prepared = prepare_dataset("synthetic", DataSource(), SIZE)
    task = build_task(prepared.table, TASK, prepared.fingerprint, DataSource())
    spec = trial("cross_entropy", tune="adapter")

    def made(train: np.ndarray, cache: str) -> np.ndarray:
        folder = tmp_path / cache
        folder.mkdir()
        ours = replace(prepared, folder=folder / prepared.folder.name)
        (folder / prepared.folder.name).symlink_to(prepared.folder)
        part = replace(task, train=train)
        given = stored.stored_features(ours, part, resolve(spec), device=CPU, n_threads=2)
        assert given is not None
        return given.of_view["strong"][:, task.train[5]]

    whole, few = made(task.train, "whole"), made(task.train[5:8], "few")
    assert np.array_equal(whole, few)
    # the copies of a view differ
    assert len({copy.tobytes() for copy in whole}) == len(whole)


def test_a_second_task_computes_only_the_drawn_views_that_it_lacks(tmp_path: Path, computed):
    first = trial("cross_entropy", tune="adapter", n_views=2)
    assert run(first, tmp_path / "r")["status"] == "ok"
    computed.clear()
    assert (
        run(replace(first, task=replace(TASK, imbalance_factor=50.0)), tmp_path / "r")["status"]
        == "ok"
    )
    # nested: the train set of the larger factor lies in that of the smaller
    assert computed == []
    assert run(trial("cross_entropy", tune="adapter", n_views=3), tmp_path / "r")["status"] == "ok"
    assert 0 < sum(computed) < 2 * 16 + 200


@pytest.mark.parametrize("name", plugins.names("representation"))
def test_every_stage_1_trains_an_adapter(name: str, tmp_path: Path):
    row = run(trial(f"{name}+none", tune="adapter", n_views=1), tmp_path / "r")
    assert row["status"] == "ok", row["cause"]


@pytest.mark.parametrize("name", plugins.names("calibration"))
def test_every_calibration_stands_on_an_adapter(name: str, tmp_path: Path):
    row = run(trial(f"cross_entropy+{name}", tune="adapter", n_views=1), tmp_path / "r")
    assert row["status"] == "ok", row["cause"]


@pytest.mark.parametrize("name", plugins.names("calibration"))
def test_every_calibration_that_moves_no_encoder_stands_on_frozen_features(name, tmp_path: Path):
    if cannot_act("cross_entropy", name, "frozen"):
        assert name == "icc"
        return
    row = run(trial(f"cross_entropy+{name}"), tmp_path / "r")
    assert row["status"] == "ok", row["cause"]


def test_icc_moves_the_adapter(tmp_path: Path):
    row = run(trial("cross_entropy+icc", tune="adapter", n_views=1), tmp_path / "r")
    assert max(row["feature_drift"]) > 0


def test_a_trial_that_is_run_again_has_the_same_numbers(tmp_path: Path):
    spec = trial("rrl+crt", tune="adapter", n_views=2)
    rows = [run(spec, tmp_path / name) for name in ("first", "second")]
    assert rows[0]["val_balanced_accuracy"] == rows[1]["val_balanced_accuracy"]
    logits = [
        open_store(tmp_path / name).read_logits(rows[0]["key"]) for name in ("first", "second")
    ]
    assert str(logits[0]) == str(logits[1])


def test_methods_that_train_the_encoder_are_refused_where_it_is_frozen():
    asked = [
        (m, default_config(m, {"training.tune": "frozen"}))
        for m in map(resolve_method, ("lmd", "crt", "sade"))
    ]
    with pytest.raises(UserError, match="lmd, sade: stage 1 trains the encoder, which is frozen"):
        check_tuning(asked, has_images=True)
    check_tuning(asked[1:2], has_images=True)


def test_features_of_ones_own_are_frozen_unless_told_otherwise():
    assert for_features({})["training.tune"] == "frozen"
    assert for_features({"training.tune": "adapter"})["training.tune"] == "adapter"
    method = resolve_method("crt")
    with pytest.raises(UserError, match="no encoder for training.tune=full"):
        check_tuning([(method, default_config(method))], has_images=False)


def test_boxes_are_not_cut_out_of_features():
    method = resolve_method("cutmix")
    config = default_config(method, {"training.tune": "adapter"})
    with pytest.raises(UserError, match="cuts boxes out of images"):
        check_tuning([(method, config)], has_images=True)


def test_a_row_of_a_frozen_trial_gives_its_spec_back(tmp_path: Path):
    row = run(trial(), tmp_path / "r")
    assert json.loads(row["config_json"])["training.tune"] == "frozen"
    assert spec_of(row).key == row["key"]


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 1,000 seconds go by with each batch that an encoder is given."""
    passed, real, forward = [0.0], limits.time.perf_counter, Encoder.forward

    def slow(self: Encoder, images: torch.Tensor) -> torch.Tensor:
        passed[0] += 1000.0
        return forward(self, images)

    monkeypatch.setattr(Encoder, "forward", slow)
    monkeypatch.setattr(limits.time, "perf_counter", lambda: real() + passed[0])


def test_a_trial_that_computes_features_for_all_lives_and_pays_nothing_for_them(
    tmp_path: Path, computed, slow_clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pools, "BLOCK", 32)
    signs: list[None] = []
    ((_, fingerprint),) = build_tasks([TASK], DataSource())
    spec = replace(trial(), task_fingerprint=fingerprint)
    context = TrialContext(tmp_path / "r", device="cpu", time_limit=900.0)
    row = execute_trial(spec, context, lambda _: None, lambda: signs.append(None))
    assert (row["status"], len(signs) > 1) == ("ok", True)
    assert row["seconds"] < 900.0
    assert row["standalone_seconds"] < 900.0


def test_a_trial_that_prepares_images_lives(tmp_path: Path, computed, monkeypatch):
    monkeypatch.setattr(executed, "_TASKS", {})
    signs: list[None] = []
    context = TrialContext(tmp_path / "r", device="cpu")
    plain = replace(trial(tune="full", stem="imagenet"), n_epochs=1)
    execute_trial(plain, context, lambda _: None, lambda: signs.append(None))
    assert signs
