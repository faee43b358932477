"""What the reading commands print and write, to the letter, over one small store.

The files in `printed/` were read by a person when they were made. After a change that is meant,
`LMD_BENCH_PRINT=1 pytest tests/leaderboard/test_printed.py` writes them anew: read what changed.
"""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.stats.metrics import evaluate, evaluate_further, images_of_classes, per_class_recall
from lmd_bench.store.store import open_store
from tests.leaderboard.conftest import TASK

PRINTED = Path(__file__).parent / "printed"
LABELS = np.repeat([0, 1, 2, 3], [40, 40, 20, 12])
GROUPS = ("many", "many", "medium", "few")
SKILLS = {"crt": (0.6, 0.7), "lmd": (0.8, 0.55), "vfc": (0.62, 0.72)}  # at each factor
COUNTS = {factor: {"class_counts": [100, 20, 5, int(100 / factor)]} for factor in (50.0, 100.0)}
COMMANDS = {
    "leaderboard": "leaderboard",
    "leaderboard-csv": "leaderboard --format csv",
    "compare": "compare crt --with-all --margin 5",
    "compare-json": "compare crt lmd --margin 5 --format json",
    "compare-class": "compare crt lmd --metric recall:d",
    "compare-study": "compare crt lmd --study 100.0",
    "intervals": "intervals",
    "intervals-csv": "intervals --format csv",
    "intervals-by-class": "intervals --by-class",
    "ranks": "ranks",
    "ranks-csv": "ranks --format csv",
    "tuning": "tuning",
    "imbalance": "imbalance",
    "crossings-csv": "imbalance --part crossings --format csv",
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store, filled by the first test: fixtures of a function fill it."""
    return tmp_path_factory.mktemp("printed")


def _fill(root: Path, study: Callable[..., list[dict]]) -> None:
    """Write three methods at two factors: four trials each, the default and the best on 5 seeds."""
    store = open_store(root, create=True)
    rng = np.random.default_rng(0)
    for place, factor in enumerate(COUNTS):
        task = replace(TASK, imbalance_factor=factor)
        for name, skill in SKILLS.items():
            val = [0.3, 0.4 + skill[place] / 4, None, 0.35]
            tests = {0: [skill[place] - 0.1] * 5, 1: [skill[place]] * 5}
            for row in study(name, val, tests, task=task):
                store.write(*_judged(row | COUNTS[factor], skill[place], rng))


def _judged(row: dict, skill: float, rng: np.random.Generator) -> tuple[dict, list[tuple]]:
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
    images = enumerate(zip(LABELS.tolist(), z.tolist(), strict=True))
    return row | columns, [(f"i{i:03}", "test", y, x, f"lesion{i // 2}") for i, (y, x) in images]


@pytest.mark.parametrize("name", COMMANDS)
def test_it_prints_what_it_printed(
    name: str,
    filled: Path,
    study: Callable[..., list[dict]],
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    if not (filled / "store.json").exists():
        _fill(filled, study)
    app([*COMMANDS[name].split(), "--results", str(filled)], standalone_mode=False)
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
    filled: Path,
    study: Callable[..., list[dict]],
    capsys: pytest.CaptureFixture,
) -> None:
    if not (filled / "store.json").exists():
        _fill(filled, study)
    words = [*command.split(), "--results", str(filled), "--study"]
    app([*words, "50.0"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "IF 50" in printed
    assert "IF 100" not in printed
    with pytest.raises(UserError, match="No study here has an id that holds 'if7'"):
        app([*words, "if7"], standalone_mode=False)
