"""Names drawn at random, with all that a terminal, a page, LaTeX or a file may take for its own."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lmd_bench.cli import app
from lmd_bench.core import machine as hardware
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TableColumns, TaskSpec, TrialContext, TrialSpec
from lmd_bench.data.datasets import load
from lmd_bench.data.images.prepare import prepare
from lmd_bench.experiments.results import open_results
from lmd_bench.stats.metrics import evaluate, per_class_recall
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import LogitRow, open_store

PIECES = (
    *("[", "]", "[/b]", "[red]", "[link=x]", "\\", "\\[", "'", '"', "`", "<script>", "</td>"),
    *("%", "$", "#", "_", "^", "~", "{", "}", "{{x}}", "|", ",", ";", ":smile:", "=", "@", "*"),
    *("\U0001f600", "\U0001f468\u200d\U0001f469", "\u05e9\u05dc\u05d5\u05dd", "\u0639\u0631"),
    *("\u202e", "\u00e9", "e\u0301", "\u6f22\u5b57", " ", "  ", ".", "-", "0", "10", "nevus"),
    *("x" * 200, "%s", "{0}", "$(id)", "--out", "~root", "NUL", "\u00a0", "\u2013", "&lt;"),
)


def drawn(seed: int, n: int, without: str = "/") -> list[str]:
    """Return names; a folder of a dot or `__` in front is not looked at."""
    rng = np.random.default_rng(seed)
    names: dict[str, None] = {}
    while len(names) < n:
        name = "".join(rng.choice(PIECES, rng.integers(1, 5)))
        name = "".join(sign for sign in name if sign not in without)
        if name.strip() and len(name.encode()) < 250 and not name.startswith((".", "__", "@")):
            names[name] = None
    return sorted(names)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(hardware, "n_cores", lambda: 1)


def run(*arguments: Any) -> int:
    return app(list(map(str, arguments)), standalone_mode=False) or 0


def pictures(root: Path, names: list[str], n: int = 12) -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        for i in range(n):
            file = root / name / f"{name[:40]}{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file)
    return root


@pytest.mark.parametrize("seed", range(4))
def test_folders_of_any_name_are_checked_and_their_split_comes_back(tmp_path, capsys, seed):
    names = drawn(seed, 6)
    data = ("--dataset", "folder", "--data-root", pictures(tmp_path / names[0], names))
    size, out = ("--image-size", "8"), tmp_path / names[1]
    assert run("check", *data, *size, "--split-out", out) == 1  # classes too small to judge
    text = capsys.readouterr().out
    small = next(line for line in text.splitlines() if "too few to judge" in line)
    assert all(name in small for name in names)
    hashes = re.findall("split hash (\\w+)", text)
    run("check", *data, *size, "--protocol", "official", "--split-dir", out)
    assert re.findall("split hash (\\w+)", capsys.readouterr().out) == hashes
    run("views", *data, *size, "--out", tmp_path / "views.png", "--per-class", "1")


@pytest.mark.parametrize("seed", range(4))
def test_classes_patients_and_files_of_a_csv_may_have_any_name(tmp_path, seed):
    # A path in a CSV has no backslash, but for one of Windows.
    classes, patients = drawn(seed, 4, "/\\"), drawn(seed + 100, 8, "")
    rows = [(f"{classes[i % 4]}-{i}"[-60:], classes[i % 4], patients[i % 8]) for i in range(16)]
    for name, *_ in rows:
        Image.new("RGB", (9, 9)).save(tmp_path / f"{name}.png")
    for delimiter in ",;\t":
        with (tmp_path / "list.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, delimiter=delimiter).writerows([("f", "y", "p"), *rows])
        columns = TableColumns(tmp_path / "list.csv", "f", "y", "p")
        table = prepare("folder", DataSource(tmp_path, columns=columns), 8).table
        shown = [(table.class_names[k], g) for k, g in zip(table.labels, table.groups, strict=True)]
        # A CSV says nothing with the blanks at the ends of a value.
        assert shown == [(label.strip(), patient.strip()) for _, label, patient in rows]


def test_a_model_is_trained_on_classes_of_any_name(tmp_path, capsys, narrow_resnets):
    names = drawn(7, 4)
    data = ("--dataset", "folder", "--data-root", pictures(tmp_path / "raw", names))
    out = ("--image-size", "16", "--epochs", "1", "--results", tmp_path / "a [b] %")
    run("train", *data, *out, "--method", "cross_entropy")
    text = capsys.readouterr().out
    assert all(re.search(f"{re.escape(name)} \\d+", text) for name in names)
    (row,) = open_store(tmp_path / "a [b] %").rows()
    assert row["class_names"] == names


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\tb", "\x7f"])
def test_a_name_with_a_sign_of_control_is_refused(tmp_path, name):
    pictures(tmp_path, [name, "other"], n=1)
    with pytest.raises(UserError, match="holds a sign of control") as error:
        load("folder").read(tmp_path)
    assert str(error.value).isprintable()


LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
GROUPS = ("many", "medium", "few")
TIME = "2026-01-01T00:00:00+00:00"


def trial(method: str, classes: list[str], seed: int, source: dict | None = None) -> dict:
    spec = TrialSpec(
        TaskSpec("toy", imbalance_factor=10.0, image_size=32),
        *("0123456789abcdef", method, "cross_entropy", "none"),
        {"training.lr": 0.1},
        seed,
        n_epochs=2,
        phase="confirm" if source else "search",
        study=f"toy/{method}",
    )
    context = TrialContext(Path(), is_default=True, source_key=source["key"] if source else "")
    measured: dict[str, Any] = {"seconds": 60.0, "standalone_seconds": 90.0, "curve": []}
    measured |= {"started_at": TIME, "finished_at": TIME, "class_names": classes}
    measured |= {"class_counts": [100, 50, 10], "groups": list(GROUPS), "host": method}
    return make_row(spec, context, status="ok", val_balanced_accuracy=0.5, **measured)


def write_results(root: Path, methods: list[str], classes: list[str]) -> None:
    """Write two confirmed methods, with logits, and a third whose trial failed."""
    store = open_store(root, create=True)
    for wrong, method in enumerate(methods[:2], start=2):
        first = trial(method, classes, 0)
        store.write(first)
        for seed in (1, 2):
            z = np.zeros((len(LABELS), 3), dtype=np.float32)
            taken = np.where(np.arange(len(LABELS)) < wrong * seed, (LABELS + 1) % 3, LABELS)
            z[np.arange(len(LABELS)), taken] = 2.0
            row = trial(method, classes, seed, first)
            row |= {f"test_{name}": of for name, of in evaluate(LABELS, z, GROUPS).items()}
            row |= {"test_recall": per_class_recall(LABELS, z).tolist(), "n_test": len(LABELS)}
            logits: list[LogitRow] = [
                (f"i{n}", "test", int(label), z[n].tolist()) for n, label in enumerate(LABELS)
            ]
            store.write(row, logits)
    store.write(trial(methods[2], classes, 0) | {"status": "error", "cause": methods[2]})


class Page(HTMLParser):
    """The texts of a page, and whether a tag was opened that no template has."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.n_scripts = 0

    def handle_starttag(self, tag, attrs):
        self.n_scripts += tag == "script"

    def handle_data(self, data):
        self.texts.append(data)


def signs(text: str, sign: str) -> int:
    """Return how often a sign stands without a backslash before it."""
    return len(re.findall(f"(?<!\\\\)(?:\\\\\\\\)*{re.escape(sign)}", text))


@pytest.mark.parametrize("seed", range(3))
def test_results_of_any_name_are_shown_in_every_form(tmp_path, capsys, seed):
    classes, methods = drawn(seed + 200, 3, ""), drawn(seed + 300, 3, "")
    results = tmp_path / drawn(seed, 1)[0]
    write_results(results, methods, classes)
    board = {}
    for form in ("table", "markdown", "latex", "csv", "json"):
        run("leaderboard", "--results", results, "--format", form)
        board[form] = capsys.readouterr().out
    run("leaderboard", "--results", results, "--format", "parquet", "--out", tmp_path / "b.parquet")
    capsys.readouterr()
    assert set(pd.read_parquet(tmp_path / "b.parquet")["method"]) == set(methods[:2])
    read = pd.read_csv(io.StringIO(board["csv"]), keep_default_na=False)
    assert set(read["method"]) == set(methods[:2])
    assert {row["method"] for row in json.loads(board["json"])["rows"]} == set(methods[:2])

    rows = [line for line in board["latex"].splitlines() if line.endswith("\\\\")]
    assert len(rows) == 3
    assert len({signs(row, "&") for row in rows}) == 1
    assert all(signs(row, sign) == 0 for row in rows for sign in "%#_~^")
    assert all(signs(row, "{") == signs(row, "}") for row in rows)
    table = [line for line in board["markdown"].splitlines() if line.startswith("|")]
    assert len({signs(line, "|") for line in table}) == 1
    folded = "".join(board["table"].split())
    assert all("".join(name.split())[:20] in folded for name in methods[:2])

    answers = open_results(results)
    by_class = answers.intervals(by_class=True)
    assert set(next(iter(by_class.frames.values()))["class"]) == set(classes)
    for answer in (by_class, answers.clinic(), answers.compare(methods[0]), answers.ranks()):
        for form in ("table", "csv", "json"):
            assert answer.render(form, width=100)
    for command in ("paper", "failures", "tuning", "imbalance"):
        run(command, "--results", results)
    run("report", "--results", results, "--out", tmp_path / f"{drawn(seed + 1, 1)[0][:50]}.html")
    capsys.readouterr()

    page = Page()
    page.feed((tmp_path / f"{drawn(seed + 1, 1)[0][:50]}.html").read_text(encoding="utf-8"))
    assert page.n_scripts == 1
    assert all(any(name in text for text in page.texts) for name in classes)
