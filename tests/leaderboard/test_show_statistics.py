"""`lmd-bench intervals`, `tuning` and `imbalance` over a store of hand-made rows."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.experiments.results import open_results
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.predictions import Clusters
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.tables.text import lay_out
from lmd_bench.leaderboard.tuning import tuning_text
from lmd_bench.leaderboard.uncertainty import class_frame, method_frame
from lmd_bench.store.store import open_store

LABELS = np.repeat([0, 1, 2, 3], [40, 40, 20, 4])


def _logits(right: np.ndarray) -> list[tuple]:
    logits = np.eye(4)[np.where(right, LABELS, (LABELS + 1) % 4)].tolist()
    images = zip(LABELS.tolist(), logits, strict=True)
    return [(f"i{i:03}", "test", y, z) for i, (y, z) in enumerate(images)]


@pytest.fixture
def filled(tmp_path: Path, study: Callable[..., list[dict]]) -> Path:
    store = open_store(tmp_path, create=True)
    for place, name in enumerate(("crt", "lmd")):
        rows = study(name, [0.3, 0.5, None], {0: [0.4, 0.5], 1: [0.6, 0.7]})
        for number, row in enumerate(rows):
            generator = np.random.default_rng(10 * place + number)
            right = generator.uniform(size=104) < 0.7
            store.write(row, _logits(right) if row["phase"] == "confirm" else ())
    for row in study("helper", [0.3]):
        store.write(row)
    return tmp_path


def _run(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    app(list(arguments), standalone_mode=False)
    return capsys.readouterr().out


def test_a_method_has_every_spread_that_is_known(filled: Path) -> None:
    store = open_store(filled)
    frame = method_frame(store, group_studies(store.rows()), RULE).set_index("label")

    assert set(frame.index) == {"crt", "lmd"}
    line = frame.loc["crt"]
    assert line["low"] < line["balanced_accuracy"] < line["high"]
    assert line["images_low"] < line["balanced_accuracy"] < line["images_high"]
    assert line["seeds_low"] < line["balanced_accuracy"] < line["seeds_high"]
    assert line["n_seeds"] == 2
    assert line["search_mean"] == pytest.approx(0.75 * 0.5 + 0.25 * 0.3)  # .5 is drawn with 3/4
    assert line["search_known"] == pytest.approx(1.0)
    assert "as if each were of its own lesion and 2 retraining seeds" in line["over"]


def test_lesions_make_the_interval_over_images_wider(filled: Path) -> None:
    path = filled / "lesions.csv"
    pairs = pd.DataFrame({"image_id": [f"i{i:03}" for i in range(104)]})
    pairs.assign(lesion_id=np.arange(104) // 4).to_csv(path, index=False)
    store = open_store(filled)
    studies = group_studies(store.rows())

    plain = method_frame(store, studies, RULE).iloc[0]
    known = method_frame(store, studies, RULE, Clusters(path, "lesion_id")).iloc[0]

    assert known["over"].startswith("test lesions")
    assert (known["images_low"], known["images_high"]) != (
        plain["images_low"],
        plain["images_high"],
    )


def test_lesions_that_the_store_holds_are_taken_without_being_asked_for(filled: Path) -> None:
    path = filled / "lesions.csv"
    lesions = [number // 4 for number in range(104)]
    pairs = pd.DataFrame({"image_id": [f"i{i:03}" for i in range(104)]})
    pairs.assign(lesion_id=lesions).to_csv(path, index=False)
    store = open_store(filled)
    studies = group_studies(store.rows())
    by_csv = method_frame(store, studies, RULE, Clusters(path, "lesion_id"))

    for row in store.rows():
        for ids, labels, logits in store.read_logits(row["key"]).values():
            images = zip(ids, labels.tolist(), logits.tolist(), strict=True)
            store.write(
                row, [(i, "test", y, z, f"hash {lesions[int(i[1:])]}") for i, y, z in images]
            )

    pd.testing.assert_frame_equal(method_frame(store, studies, RULE), by_csv)


def test_the_recall_of_a_class_has_the_interval_that_its_size_asks_for(filled: Path) -> None:
    store = open_store(filled)
    frame = class_frame(store, group_studies(store.rows()), RULE)

    crt = frame[frame["label"] == "crt"].set_index("class")
    assert crt["n_images"].to_dict() == {"a": 40, "b": 40, "c": 20, "d": 4}
    assert list(crt["interval"]) == ["Wilson", "Wilson", "Clopper-Pearson", "Clopper-Pearson"]
    for _, line in crt.iterrows():
        right = line["recall"] * line["n_images"]  # of two seeds, in halves
        if right == int(right):
            name = "wilson" if line["interval"] == "Wilson" else "exact"
            found = binomtest(int(right), line["n_images"]).proportion_ci(0.95, name)
            assert (line["low"], line["high"]) == pytest.approx((found.low, found.high))
        assert line["low"] <= line["recall"] <= line["high"]


def test_intervals_are_printed_with_what_they_are_over(filled: Path, capsys) -> None:
    text = " ".join(_run(capsys, "intervals", "--results", str(filled)).split())
    assert "95 % over test images as if each were of its own lesion and 2 retraining seeds" in text
    assert "seeds: on these images alone, by Student's t" in text
    assert "had its trials been drawn again" in text

    text = _run(capsys, "intervals", "--by-class", "--results", str(filled))
    assert "\ncrt\n" in text
    assert "]*" in text

    data = json.loads(_run(capsys, "intervals", "--format", "json", "--results", str(filled)))
    assert [row["rule"] for row in data["rows"]] == ["val_balanced_accuracy"] * 2


def test_tuning_shows_curves_gains_and_shares(filled: Path, capsys) -> None:
    text = _run(capsys, "tuning", "--results", str(filled))

    flat = " ".join(text.split())
    assert "Best val_balanced_accuracy so far in %, by what was spent in trials" in flat
    assert "67 % found any" in flat  # one of three trials failed
    assert "the band ends at half of what was spent" in flat
    assert "method tuned less default images seeds" in flat
    assert "] (2)" in flat  # the seeds of both
    assert "2 methods x default and tuned x 2 seeds, eta squared: method 0.0 %" in flat

    csv = _run(capsys, "tuning", "--against", "hours", "--format", "csv", "--results", str(filled))
    assert csv.startswith("task,label,unit,spent,mean,low,high,found,rule,watermark\n")


def test_without_two_seeds_the_variance_is_not_split(study) -> None:
    studies = group_studies(study("crt", [0.3], {0: [0.5]}))
    lines = lay_out(tuning_text(studies, RULE, "trials"), 400)

    assert lines[-1].startswith("Variance: not split, which takes two methods")
    assert any(line.endswith("the default was selected") for line in lines)


def test_imbalance_shows_stored_and_computed_metrics(filled: Path, capsys) -> None:
    text = " ".join(_run(capsys, "imbalance", "--results", str(filled)).split())
    assert "method largest 100" in text
    assert "crt 0.650 ± 0.071" in text

    assert "Test mcc, higher is better" in _run(
        capsys, "imbalance", "--metric", "mcc", "--results", str(filled)
    )
    data = json.loads(_run(capsys, "imbalance", "--format", "json", "--results", str(filled)))
    assert {"mcc", "macro_auprc", "ece"} <= {row["metric"] for row in data["rows"]}


def test_the_oracle_is_watermarked_everywhere(filled: Path, capsys) -> None:
    for command in ("intervals", "tuning", "imbalance", "ranks"):
        for form in ("table", "json"):
            arguments = (command, "--rule", "oracle_test", "--format", form)
            assert "ORACLE" in _run(capsys, *arguments, "--results", str(filled))
    by_class = _run(
        capsys, "intervals", "--by-class", "--rule", "oracle_test", "--results", str(filled)
    )
    assert "ORACLE" in by_class
    for command in ("intervals", "tuning", "imbalance"):
        app(
            [command, "--rule", "oracle_test", "--format", "csv", "--results", str(filled)],
            standalone_mode=False,
        )
        captured = capsys.readouterr()
        assert "ORACLE" in captured.err
        assert "oracle_test" in captured.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("tuning --against gpu_hours", "has cost any GPU-h"),
        ("imbalance --metric auc", "Unknown metric 'auc'"),
        ("leaderboard --at-budget soon", "'soon' is no budget"),
    ],
)
def test_a_mistake_says_what_is_allowed(filled: Path, arguments: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        app([*arguments.split(), "--results", str(filled)], standalone_mode=False)


def test_python_says_what_is_allowed_too(filled: Path) -> None:
    results = open_results(filled)

    with pytest.raises(UserError, match="Unknown unit 'days'; choose from gpu_hours, hours"):
        results.tuning(against="days")
    with pytest.raises(UserError, match="Unknown format 'html'"):
        results.intervals().render("html")
    with pytest.raises(UserError, match="Unknown rule 'best'"):
        results.ranks("best")


def test_without_logits_there_are_no_intervals_over_images(tmp_path: Path, study) -> None:
    store = open_store(tmp_path, create=True)
    for row in study("crt", [0.3], {0: [0.5]}):
        store.write(row)

    with pytest.raises(UserError, match="No confirmed run in .* has logits of test"):
        app(["intervals", "--results", str(tmp_path)], standalone_mode=False)
