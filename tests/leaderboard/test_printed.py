"""What the reading commands print and write, to the letter, over three small stores.

The files in `printed/` were read by a person when they were made. After a change that is meant,
`LMD_BENCH_PRINT=1 pytest tests/leaderboard/test_printed.py` writes them anew: read what changed.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import content_hash
from lmd_bench.stats.metrics import evaluate, evaluate_further, images_of_classes, per_class_recall
from lmd_bench.store.store import open_store
from tests.leaderboard.conftest import TASK

PRINTED = Path(__file__).parent / "printed"
LABELS = np.repeat([0, 1, 2, 3], [40, 40, 20, 12])
GROUPS = ("many", "many", "medium", "few")
SKILLS = {"crt": (0.6, 0.7), "lmd": (0.8, 0.55), "vfc": (0.62, 0.72)}  # at each factor
COUNTS = {factor: {"class_counts": [100, 20, 5, int(100 / factor)]} for factor in (50.0, 100.0)}
# Of each folder of results, the name of what is printed and the command that prints it.
COMMANDS = {
    "factors": {
        "leaderboard": "leaderboard",
        "leaderboard-csv": "leaderboard --format csv",
        "leaderboard-json": "leaderboard --format json",
        "compare": "compare crt --with-all --margin 5",
        "compare-json": "compare crt lmd --margin 5 --format json",
        "compare-class": "compare crt lmd --metric recall:d",
        "compare-nll": "compare crt lmd --metric nll",
        "compare-study": "compare crt lmd --study 100.0",
        "intervals": "intervals",
        "intervals-csv": "intervals --format csv",
        "intervals-json": "intervals --format json",
        "intervals-by-class": "intervals --by-class",
        "ranks": "ranks",
        "ranks-csv": "ranks --format csv",
        "ranks-json": "ranks --format json",
        "tuning": "tuning",
        "tuning-json": "tuning --format json",
        "imbalance": "imbalance",
        "ranges-csv": "imbalance --part ranges --format csv",
        "crossings-csv": "imbalance --part crossings --format csv",
        "clinic": "clinic crt --prevalence train --shift",
        "clinic-json": "clinic crt --format json",
    },
    "sets": {
        "sets-ranks": "ranks",
        "sets-ranks-json": "ranks --format json",
        "sets-iqm-csv": "ranks --part iqm --format csv",
        "sets-profiles-csv": "ranks --part profiles --format csv",
        "sets-compare": "compare crt lmd alone",
        "sets-intervals-by-class": "intervals --by-class --study set0",
        "sets-intervals-csv": "intervals --by-class --study set0 --format csv",
    },
    "splits": {
        "splits-leaderboard": "leaderboard",
        "splits-leaderboard-csv": "leaderboard --format csv",
        "splits-compare": "compare crt --with-all",
        "splits-compare-json": "compare crt lmd --format json",
        "splits-intervals": "intervals",
        "splits-intervals-json": "intervals --format json",
        "splits-ranks": "ranks",
    },
}
PRINTS = [(folder, name) for folder, names in COMMANDS.items() for name in names]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the stores lie, each filled by its first test: fixtures of a test fill it."""
    return tmp_path_factory.mktemp("printed")


def _fill(root: Path, study: Callable[..., list[dict]]) -> Path:
    """Write the rows of a folder that is not there yet, and return it."""
    if not root.exists():
        store = open_store(root, create=True)
        for row, images in {"factors": _factors, "sets": _sets, "splits": _splits}[root.name](
            study
        ):
            store.write(row, images)
    return root


def _factors(study: Callable[..., list[dict]]) -> Iterator[tuple[dict, list[tuple]]]:
    """Make three methods at two factors: four trials each, the default and the best on 5 seeds."""
    rng = np.random.default_rng(0)
    for place, factor in enumerate(COUNTS):
        task = replace(TASK, imbalance_factor=factor)
        for name, skill in SKILLS.items():
            val = [0.3, 0.4 + skill[place] / 4, None, 0.35]
            tests = {0: [skill[place] - 0.1] * 5, 1: [skill[place]] * 5}
            for row in study(name, val, tests, task=task):
                yield _judged(row | COUNTS[factor], skill[place], rng)


def _sets(study: Callable[..., list[dict]]) -> Iterator[tuple[dict, list[tuple]]]:
    """Make the same methods on seven data sets, on which one of them is far ahead."""
    rng = np.random.default_rng(1)
    for number in range(7):
        task = replace(TASK, dataset=f"set{number}")
        for name, skill in {"crt": 0.5, "lmd": 0.8, "vfc": 0.52}.items():
            skill += 0.02 * (-1) ** number * (name == "vfc")
            for row in study(name, [0.3, 0.4], {0: [skill - 0.1] * 2, 1: [skill] * 2}, task=task):
                yield _judged(row, skill, rng)
    # A method on one data set alone, of which rows were brought without their logits.
    for row in study("alone", [0.3], {0: [0.6] * 2}, task=replace(TASK, dataset="set0")):
        yield _judged(row, 0.6, rng)[0], []


def _splits(study: Callable[..., list[dict]]) -> Iterator[tuple[dict, list[tuple]]]:
    """Make two methods on three splits that share test images; the first split has two searches."""
    rng = np.random.default_rng(2)
    for split, search in ((0, 0), (0, 1), (1, 0), (2, 0)):
        task = replace(TASK, split_seed=split)
        for name, skill in {"crt": 0.5, "lmd": 0.6, "vfc": 0.52}.items():
            skill += rng.normal(0, 0.03)
            for row in study(name, [0.3, 0.4], {0: [skill - 0.1] * 3, 1: [skill] * 3}, task=task):
                row |= {"repeat_of": name, "study": f"{row['study']}/{split}-{search}"}
                row["task_fingerprint"] = f"{split}{row['task_fingerprint'][1:]}"
                row["key"] = content_hash([row["key"], search])[:20]
                row["seed"] += 10 * search  # a search retrains on seeds of its own
                if row["source_key"]:
                    row["source_key"] = content_hash([row["source_key"], search])[:20]
                yield _judged(row, skill, rng, first_image=30 * split)


def _judged(
    row: dict, skill: float, rng: np.random.Generator, first_image: int = 0
) -> tuple[dict, list[tuple]]:
    """Return a confirmation with logits of that skill and what they give; else the row alone."""
    if row["phase"] != "confirm":
        return row, []
    # The default is worse; each retraining differs a little.
    skill = skill - 0.1 * row["is_default"] + rng.normal(0, 0.02)
    right = rng.uniform(size=len(LABELS)) < skill - 0.15 * (LABELS == 3)
    z = 2 * np.eye(4)[np.where(right, LABELS, (LABELS + 1) % 4)] + rng.normal(0, 0.3, (112, 4))
    z = z.astype("f4")
    scores = {**evaluate(LABELS, z, GROUPS, None), **evaluate_further(LABELS, z, None)}
    columns = {f"test_{name}": value for name, value in scores.items()}
    columns["test_recall"] = per_class_recall(LABELS, z).tolist()
    columns["test_counts"] = images_of_classes(LABELS, z).tolist()
    # An image is of one class on all splits; a later split begins at a later image of each class.
    sizes = np.bincount(LABELS)
    places = np.arange(len(LABELS)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    numbers = (places + first_image * sizes[LABELS] // len(LABELS)).tolist()
    images = zip(
        "".join("abcd"[y] for y in LABELS), numbers, LABELS.tolist(), z.tolist(), strict=True
    )
    return row | columns, [(f"{c}{i}", "test", y, x, f"{c}{i // 2}") for c, i, y, x in images]


@pytest.mark.parametrize(("folder", "name"), PRINTS)
def test_it_prints_what_it_printed(
    folder: str,
    name: str,
    folders: Path,
    study: Callable[..., list[dict]],
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    filled = _fill(folders / folder, study)
    app([*COMMANDS[folder][name].split(), "--results", str(filled)], standalone_mode=False)
    printed = capsys.readouterr().out.replace(str(filled), "RESULTS")
    # The last digits are the platform's.
    printed = re.sub(r"\d\.\d{7,}", lambda found: f"{float(found[0]):.6f}", printed)
    expected = PRINTED / f"{name}.txt"
    if os.environ.get("LMD_BENCH_PRINT"):
        expected.write_text(printed, encoding="utf-8")
    assert printed == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command", ["leaderboard", "compare crt lmd", "intervals", "imbalance", "ranks"]
)
def test_one_study_is_asked_for_by_a_part_of_its_id(
    command: str,
    folders: Path,
    study: Callable[..., list[dict]],
    capsys: pytest.CaptureFixture,
) -> None:
    filled = _fill(folders / "factors", study)
    words = [*command.split(), "--results", str(filled), "--study"]
    app([*words, "50.0"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "IF 50" in printed
    assert "IF 100" not in printed
    with pytest.raises(UserError, match="No study here has an id that holds 'if7'"):
        app([*words, "if7"], standalone_mode=False)
