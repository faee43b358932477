"""Confirmed methods at a clinic's prevalence, costs, thresholds, and by subgroup."""

from pathlib import Path

import numpy as np
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.experiments.results import open_results
from lmd_bench.leaderboard.clinic import Use
from lmd_bench.leaderboard.paper import OPEN
from lmd_bench.leaderboard.studies.predictions import Clusters
from lmd_bench.stats.calibration import calibration_slope
from lmd_bench.stats.deployment import predictive_values
from lmd_bench.store.store import open_store

LABELS = np.repeat(np.arange(4), 15)


@pytest.fixture
def folder(tmp_path: Path, study) -> Path:
    """Return a good and a poor method with two retrainings each, and a CSV of sexes and ages."""
    store = open_store(tmp_path, create=True)
    for name, strength in (("poor", 0.5), ("good", 2.0)):
        for number, row in enumerate(study(name, [0.3], {0: [0.5, 0.6]})):
            z = np.random.default_rng(number).normal(size=(60, 4)) + strength * np.eye(4)[LABELS]
            images = zip(LABELS.tolist(), z.tolist(), strict=True)
            logits = [(f"i{n:02}", "test", label, of) for n, (label, of) in enumerate(images)]
            store.write(row, logits if row["phase"] == "confirm" else ())
    lines = [f"i{n:02},{'m' if n % 3 else 'f'},{20 + n}" for n in range(55)]
    (tmp_path / "people.csv").write_text("\n".join(["image_id,sex,age", *lines]))
    (tmp_path / "clinic.yaml").write_text("{a: 0.9, b: 0.06, c: 0.03, d: 0.01}\n")
    (tmp_path / "costs.yaml").write_text("d: {a: 20}\n")
    return tmp_path


def test_classes_have_predictive_values_at_the_prevalence_of_a_file(folder: Path) -> None:
    found = open_results(folder).clinic(use=Use(str(folder / "clinic.yaml")))

    classes = found.frames["classes"].set_index("class")
    assert set(classes["method"]) == {"good"}  # the best where none is named
    assert classes["prevalence"].tolist() == pytest.approx([0.9, 0.06, 0.03, 0.01])
    assert classes.loc["d", "ppv"] < 0.7 < classes.loc["a", "ppv"]  # rare: false alarms weigh
    store = open_store(folder)
    runs = [row for row in store.rows() if row["method"] == "good" and row["phase"] == "confirm"]
    prevalence = np.array([0.9, 0.06, 0.03, 0.01])
    each = [
        predictive_values(*store.read_logits(row["key"])["test"][1:], prevalence)[0] for row in runs
    ]
    assert classes["ppv"].tolist() == pytest.approx(np.mean(each, axis=0).tolist())
    assert (classes["ppv_low"] >= 0).all()
    assert (classes["sensitivity_high"] <= 1).all()
    text = found.render(width=120)
    assert "PPV" in text
    assert "net benefit" in text


def test_classes_have_a_calibration_slope_and_intercept_with_intervals(folder: Path) -> None:
    answer = open_results(folder).clinic(["poor"])
    classes = answer.frames["classes"]

    store = open_store(folder)
    runs = [row for row in store.rows() if row["method"] == "poor" and row["phase"] == "confirm"]
    each = [store.read_logits(row["key"])["test"][1:] for row in runs]
    for index, line in enumerate(classes.to_dict("records")):
        slopes = [calibration_slope(y, z, np.full(4, 0.25), index).value for y, z in each]
        assert line["slope"] == pytest.approx(np.mean(slopes))
        assert line["slope_low"] < line["slope"] < line["slope_high"]
        assert line["intercept_low"] < line["intercept"] < line["intercept_high"]
        assert line["n_separated"] == 0
    assert "slope 1 and intercept 0 are perfect" in " ".join(answer.render(width=100).split())


def test_a_class_that_a_threshold_separates_is_said_to_be_and_has_no_slope(
    tmp_path: Path, study
) -> None:
    store = open_store(tmp_path, create=True)
    for number, row in enumerate(study("sure", [0.3], {0: [0.5, 0.6]})):
        z = np.random.default_rng(number).normal(size=(60, 4)) + np.eye(4)[LABELS]
        z[:, 3] = np.where(LABELS == 3, 9.0, -9.0)
        images = zip(LABELS.tolist(), z.tolist(), strict=True)
        logits = [(f"i{n:02}", "test", label, of) for n, (label, of) in enumerate(images)]
        store.write(row, logits if row["phase"] == "confirm" else ())

    answer = open_results(tmp_path).clinic()

    classes = answer.frames["classes"].set_index("class")
    assert classes["n_separated"].to_dict() == {"a": 0, "b": 0, "c": 0, "d": 2}
    assert np.isnan(classes.loc["d", "slope"])
    assert "no slope is finite (d of sure)" in " ".join(answer.render(width=100).split())
    assert '"slope": null' in answer.render("json")


def test_moving_the_logits_to_the_prevalence_raises_accuracy_there(folder: Path) -> None:
    results, prevalence = open_results(folder), str(folder / "clinic.yaml")
    kept = results.clinic(use=Use(prevalence)).frames["scores"].set_index("method")
    moved = results.clinic(use=Use(prevalence, shift=True)).frames["scores"].set_index("method")

    assert (moved["accuracy"] > kept["accuracy"]).all()
    assert (moved["nll"] < kept["nll"]).all()


def test_costs_are_those_of_a_file_and_cheap_decisions_cost_no_more(folder: Path) -> None:
    use = Use(str(folder / "clinic.yaml"), shift=True, costs=folder / "costs.yaml")
    scores = open_results(folder).clinic(use=use).frames["scores"].set_index("method")

    assert scores.loc["good", "cost_of_cheapest"] <= scores.loc["good", "cost"] + 0.02
    assert scores.loc["good", "cost"] < scores.loc["poor", "cost"]


def test_subgroups_come_with_their_numbers_and_ages_in_four_parts(folder: Path) -> None:
    results = open_results(folder)
    sexes = results.clinic(["poor"], Use(subgroups=Clusters(folder / "people.csv", "sex")))
    frame = sexes.frames["subgroups"].set_index("value")

    assert frame["n_images"].to_dict() == {"f": 19, "m": 36, "not known": 5}
    assert np.isnan(frame.loc["not known", "balanced_accuracy"])  # too few to be judged
    assert 0 < frame.loc["m", "balanced_accuracy_low"] < frame.loc["m", "balanced_accuracy"]
    ages = results.clinic(["poor"], Use(subgroups=Clusters(folder / "people.csv", "age")))
    assert len(ages.frames["subgroups"]) == 5
    assert "20 to " in " ".join(ages.frames["subgroups"]["value"]).replace("19.999", "20")


def test_the_prevalence_of_the_data_needs_rows_that_know_it(folder: Path, study) -> None:
    with pytest.raises(UserError, match="give a file of class: share"):
        open_results(folder).clinic(use=Use("data"))
    found = open_results(folder).clinic(use=Use("train")).frames["classes"].set_index("class")
    assert found.loc["a", "prevalence"] == pytest.approx(100 / 126)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{a: 1, b: 0, c: 0}", "says nothing of d"),
        ("{a: 1, b: 0, c: 0, e: 0}", "Unknown class"),
        ("{a: 1, b: -1, c: 0, d: 0}", "have to be 0 or more"),
        ("{a: x, b: 1, c: 0, d: 0}", "is no number"),
        ("[1, 2]", "is no mapping"),
    ],
)
def test_a_prevalence_that_cannot_be_is_one_sentence(folder: Path, text, sentence) -> None:
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        open_results(folder).clinic(use=Use(str(folder / "bad.yaml")))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{x: {a: 1}}", "Unknown class"), ("{a: 3}", "has no costs for a"), ("[1]", "no mapping")],
)
def test_costs_that_cannot_be_are_one_sentence(folder: Path, text, sentence) -> None:
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        open_results(folder).clinic(use=Use(costs=folder / "bad.yaml"))


@pytest.mark.parametrize("width", [80, 120])
def test_the_command_fits_the_terminal(folder: Path, width, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    command = f"clinic good --results {folder} --costs {folder}/costs.yaml "
    command += f"--subgroups {folder}/people.csv --column age"
    app(command.split(), standalone_mode=False)
    out = capsys.readouterr().out
    assert "at 90 %" in out
    assert max(map(len, out.splitlines())) <= width


def test_a_paper_gets_its_methods_its_images_and_a_checklist_with_open_items(folder: Path) -> None:
    text = open_results(folder).paper()

    assert "We compared 2 methods (good, poor) on toy" in text
    assert "2 fresh seeds" in text
    assert "| train | 100 | 20 | 5 | 1 | 126 |" in text
    assert "open: the logits hold no lesion or patient" in text
    assert text.count(OPEN) == 6
    assert "none of the runs failed" in text


def test_a_paper_needs_what_is_confirmed(tmp_path: Path, study) -> None:
    open_store(tmp_path, create=True).write(study("crt", [0.3])[0])
    with pytest.raises(UserError, match="is confirmed"):
        open_results(tmp_path).paper()
