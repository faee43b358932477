"""Methods whose searches were repeated on several splits: one line, one comparison, one chance."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lmd_bench.experiments.results import open_results
from lmd_bench.leaderboard.studies.measure import measure_alone, quiet_note
from lmd_bench.leaderboard.studies.predictions import Clusters, Judged, judged_runs
from lmd_bench.stats.proportions import jeffreys
from lmd_bench.store.store import open_store
from tests.leaderboard.conftest import TASK

N_CLASSES, N_IMAGES = 4, 60
TASK_NAME = "toy · balanced · IF 100 · 32 px · 3 splits"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("splits")


@pytest.fixture
def filled(folder: Path, study: Callable[..., list[dict]]) -> Path:
    """Return a folder of two methods on three splits; `lmd` is right more often."""
    if any(folder.iterdir()):
        return folder
    store = open_store(folder, create=True)
    for split in range(3):
        # Two thirds of the images of one split are in the next one too.
        ids = [f"i{20 * split + number:03}" for number in range(N_IMAGES)]
        labels = [number % N_CLASSES for number in range(20 * split, 20 * split + N_IMAGES)]
        for name, level in (("crt", 0.45), ("lmd", 0.75)):
            rows = study(name, [0.3], {0: [0.4, 0.5]}, task=replace(TASK, split_seed=split))
            for number, row in enumerate(rows):
                generator = np.random.default_rng([split, number, len(name)])
                right = generator.uniform(size=N_IMAGES) < level + 0.05 * split
                guess = np.where(right, labels, (np.array(labels) + 1) % N_CLASSES)
                logits = np.eye(N_CLASSES)[guess].tolist()
                row |= {"repeat_of": name, "study": f"{row['study']}/{split}"}
                row["task_fingerprint"] = f"{split}{row['task_fingerprint'][1:]}"
                if row["phase"] == "confirm":
                    recalls = [right[np.array(labels) == c].mean() for c in range(N_CLASSES)]
                    row["test_balanced_accuracy"] = float(np.mean(recalls))
                images = zip(ids, ["test"] * N_IMAGES, labels, logits, strict=True)
                store.write(row, list(images) if row["phase"] == "confirm" else ())
    return folder


def test_one_line_has_the_interval_over_splits(filled: Path) -> None:
    frame = open_results(filled).leaderboard().frame.set_index("label")
    assert frame["task"].unique().tolist() == [TASK_NAME]
    line = frame.loc["lmd"]
    assert line["n_splits"] == 3
    assert line["test_balanced_accuracy_low"] < line["test_balanced_accuracy"]
    assert line["test_balanced_accuracy"] < line["test_balanced_accuracy_high"]
    assert line["with_best"]
    assert not frame.loc["crt", "with_best"]


def test_two_methods_are_compared_once_over_all_splits(filled: Path) -> None:
    answer = open_results(filled).compare("lmd", "crt")
    (line,) = answer.frame.to_dict("records")
    board = open_results(filled).leaderboard().frame.set_index("label")["test_balanced_accuracy"]
    assert line["task"] == TASK_NAME
    assert line["balanced_accuracy_difference"] == pytest.approx(board["lmd"] - board["crt"])
    assert line["p_holm"] < 0.05
    assert isnan(line["mcnemar_p"])
    assert "None of this holds the spread over data sets." in answer.render()


def test_a_metric_of_no_images_alone_is_compared_too(filled: Path) -> None:
    (line,) = open_results(filled).compare("lmd", "crt", metric="nll").frame.to_dict("records")
    assert line["nll_difference"] > 0  # turned, so that more is better
    assert line["nll_low"] < line["nll_difference"] < line["nll_high"]


def test_intervals_and_first_places_are_over_splits(filled: Path) -> None:
    results = open_results(filled)
    frame = results.intervals().frame.set_index("label")
    assert frame["task"].unique().tolist() == [TASK_NAME]
    assert "3 splits" in frame.loc["crt", "over"]
    places = json.loads(results.ranks().render("json"))
    assert TASK_NAME in str(places)


def test_lesions_of_a_file_are_those_of_every_split(filled: Path) -> None:
    path = filled / "lesions.csv"
    pairs = pd.DataFrame({"image_id": [f"i{number:03}" for number in range(100)]})
    pairs.assign(lesion_id=np.arange(100) // 4).to_csv(path, index=False)
    alone = open_results(filled).compare("lmd", "crt").frame.iloc[0]
    known = open_results(filled).compare("lmd", "crt", clusters=Clusters(path, "lesion_id"))
    assert known.frame.iloc[0]["over"].startswith("test lesions")
    assert known.frame.iloc[0]["balanced_accuracy_low"] != alone["balanced_accuracy_low"]


def test_the_board_is_the_same_as_json(filled: Path) -> None:
    lines = json.loads(open_results(filled).leaderboard().frame.to_json(orient="records"))
    assert {line["n_seeds"] for line in lines} == {6}


def test_an_image_without_a_lesion_is_the_same_one_in_every_test_set(tmp_path: Path, study) -> None:
    store = open_store(tmp_path, create=True)
    lesions = []
    for split, ids in enumerate(("abcd", "dcba")):
        source, *runs = study("crt", [0.3], {0: [0.5, 0.6]}, task=replace(TASK, split_seed=split))
        for run in runs:
            groups = ["g" if image == "a" else None for image in ids]
            store.write(
                run,
                [(*of, 0, [1.0] * 4, g) for *of, g in zip(ids, ["test"] * 4, groups, strict=True)],
            )
        judged = judged_runs(store, "crt", {run["seed"]: run for run in runs}, source)
        assert judged is not None
        lesions.append(judged.lesions)
    assert lesions == [("g", "image:b", "image:c", "image:d")] * 2


def _always_right(split: int, ids: Sequence[str]) -> Judged:
    """Return a model that has 60 % of 400 images of `a` right, and all of four of `b`."""
    labels = np.repeat([0, 1], [400, 4])
    of_a = np.random.default_rng(split).uniform(size=(400, 5)) < 0.6
    right = np.vstack([of_a, np.ones((4, 5), dtype=bool)])
    classes = {"groups": ("many", "few"), "class_names": ("a", "b")}
    return Judged("m", (0, 1, 2, 3, 4), tuple(ids), labels, right, split=str(split), **classes)


@pytest.mark.parametrize(("shared", "n_images"), [(True, 4), (False, 12)])
def test_a_class_that_is_always_right_has_jeffreys_limits_over_splits_too(
    shared: bool, n_images: int
) -> None:
    parts = [
        _always_right(split, [f"{0 if shared else split}-{n:03}" for n in range(404)])
        for split in range(3)
    ]
    over = replace(parts[0], splits=tuple(parts))

    n = np.array(float(n_images))
    low = float(jeffreys(n, n)[0])
    of_class = measure_alone(over, "recall:b")
    assert (of_class.interval.low, of_class.interval.high) == pytest.approx((low, 1.0))
    score = measure_alone(over)
    # Half of the score is of class b; what is known of a is little beside it.
    assert score.images.low < score.value - (1 - low) / 2
    assert score.images.high < score.value + 0.02
    assert "few images, or nearly all or none right" in quiet_note(over)
