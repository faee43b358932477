"""A row says all of a trial: read back, it is the same trial in the same circumstances."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from lmd_bench.core import paths
from lmd_bench.core.schema import SCHEMA_VERSION, DataSource, TrialContext
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.rows import context_of, make_row, spec_of
from tests.store.test_results import MEASURED, make_spec

CONTEXT = TrialContext(
    results=Path("results"),
    device="cpu",
    n_threads=3,
    gpu_share=0.25,
    trial_number=7,
    repeat_of="r" * 20,
    is_default=True,
    proposed_by="portfolio",
    encoder_rank=2,
    n_stage1_trials=5,
    n_searched=11,
    factor_range="10:200",
    source_key="s" * 20,
    command="lmd-bench search",
)
KEPT = [field.name for field in fields(TrialContext) if field.name in COLUMNS.names]


def test_a_row_gives_back_its_trial_and_where_it_ran() -> None:
    row = make_row(make_spec(), CONTEXT, **MEASURED)
    assert spec_of(row).key == make_spec().key == row["key"]
    assert replace(spec_of(row), config={}) == replace(make_spec(), config={})
    again = context_of(row, Path("elsewhere"), DataSource())
    assert {name: getattr(again, name) for name in KEPT} == {
        name: getattr(CONTEXT, name) for name in KEPT
    }
    assert again.results == Path("elsewhere")


def test_a_trial_runs_again_on_the_data_of_this_machine(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LMD_BENCH_DATA", str(tmp_path))
    row = make_row(make_spec(), CONTEXT, **MEASURED)
    given = DataSource(root=tmp_path / "raw", allow_missing=True)
    assert context_of(row, Path("results"), given).source == given
    found = context_of(row, Path("results"), DataSource()).source
    assert found == paths.located("toy", DataSource())
    assert found != paths.located("another", DataSource())


def test_every_column_of_the_context_is_in_the_row() -> None:
    row = make_row(make_spec(), CONTEXT, **MEASURED)
    assert len(KEPT) == 13
    assert {name: row[name] for name in KEPT} == {name: getattr(CONTEXT, name) for name in KEPT}
    spec = make_spec()
    told = ("phase", "study", "method", "representation", "calibration", "seed", "n_epochs")
    for name in (*told, "task_fingerprint"):
        assert row[name] == getattr(spec, name)
    for field in fields(type(spec.task)):
        assert row[field.name] == getattr(spec.task, field.name)
    assert row["schema_version"] == SCHEMA_VERSION


def test_what_a_context_leaves_open_is_null_in_the_row_and_open_again() -> None:
    bare = TrialContext(results=Path("results"))
    row = make_row(make_spec(), bare, **MEASURED)
    assert (row["repeat_of"], row["factor_range"]) == (None, None)
    assert (row["cause"], row["encoder_key"]) == ("", "")
    assert [row[name] for name in ("curve", "class_names", "class_counts", "groups")] == [[]] * 4
    again = context_of(row, Path("results"), DataSource())
    assert (again.repeat_of, again.factor_range) == ("", "")


@pytest.mark.parametrize(("ran_on", "again"), [("cpu", "cpu"), ("cuda", "auto"), ("mps", "auto")])
def test_a_trial_runs_again_on_the_device_of_this_machine(ran_on: str, again: str) -> None:
    row = make_row(make_spec(), CONTEXT, **{**MEASURED, "device": ran_on})
    assert context_of(row, Path("results"), DataSource()).device == again


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({}, "random"),
        ({"training.pretrained": True}, "pretrained"),
        ({"training.weights": "somewhere.pt", "training.pretrained": True}, "somewhere.pt"),
    ],
)
def test_a_row_says_which_encoder_its_config_asks_for(settings, start: str) -> None:
    config = {"training.backbone": "resnet50", "training.tune": "adapter", **settings}
    spec = replace(make_spec(), config={**make_spec().config, **config})
    row = make_row(spec, CONTEXT, **MEASURED)
    assert (row["encoder"], row["encoder_start"], row["tune"]) == ("resnet50", start, "adapter")
    assert row["features"] == spec_of(row).config.get("training.features")
    config = json.loads(row["config_json"])
    assert config.items() <= dict(spec.config).items()
