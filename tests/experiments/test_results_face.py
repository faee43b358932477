"""The face in Python, and what the reading commands print in narrow terminals."""

import re
from pathlib import Path

import pandas as pd
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.data.listing import list_datasets
from lmd_bench.experiments.results import Results, open_results
from lmd_bench.leaderboard.board import load
from lmd_bench.leaderboard.studies.rules import RULES
from lmd_bench.methods.catalogue import list_methods
from lmd_bench.store.compaction import compact
from lmd_bench.store.store import open_store

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
ABLATION = str(REFERENCE / "ablation")
FACTORS = (50, 100, 200)
METHODS = (
    *("cross_entropy", "crt", "logistic_regression", "vfc", "cross_entropy+icc"),
    *("balanced_softmax", "balanced_softmax+logistic_regression", "rrl", "lmd"),
)
COMMANDS = (
    "leaderboard",
    "leaderboard --metrics all",
    "compare lmd --with-all",
    "intervals",
    "intervals --by-class",
    "ranks",
    "tuning",
    "tuning --against hours",
    "imbalance",
    "imbalance --metric mcc",
    "transfer --table",
    "ablate --table",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder of one data set of the reference: all of it would take minutes."""
    whole = open_store(REFERENCE / "adapter")
    part = open_store(tmp_path_factory.mktemp("results"), create=True)
    for row in whole.rows():
        wanted = row["dataset"] == "ham10000" and row["imbalance_factor"] in FACTORS
        if wanted and row["method"] in METHODS:
            logits = whole.logits_table(row["key"])
            part.write(
                row, [] if logits is None else zip(*logits.to_pydict().values(), strict=True)
            )
    compact(part.root)
    return str(part.root)


@pytest.fixture(scope="module")
def results(folder: str) -> Results:
    return open_results(folder)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_reading_command_is_wider_than_the_terminal_or_cuts_a_name(
    command: str,
    width: int,
    folder: str,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    root = ABLATION if command == "ablate --table" else folder
    app([*command.split(), "--results", root], standalone_mode=False)
    text = capsys.readouterr().out
    lines = text.splitlines()

    assert max(map(len, lines)) <= width
    words = {line.split(" ")[0] for line in lines}
    if command not in ("ablate --table", "intervals --by-class", "transfer --table"):
        assert {"cross_entropy+icc", "logistic_regression"} <= words
    if command not in ("imbalance", "imbalance --metric mcc", "transfer --table"):
        assert any(line.startswith("ham10000 · ") or " on ham" in line for line in lines)
        # Titles and notes name their task with size and fingerprint, over the end of a line too.
        joined = " ".join(text.split())
        tasks = len(re.findall(r"ham10000 · balanced_v2 · ", joined))
        assert tasks == len(re.findall(r"ham10000 · [^:]{1,60}? · 224 px · [0-9a-f]{8}", joined))


def _names_of_pairs() -> set[str]:
    listed = list_methods()
    pairs = listed["representation"] + "+" + listed["calibration"]
    return {pair.removesuffix("+none") for pair in pairs}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("methods", {*list_methods()["name"], *_names_of_pairs()}),
        ("methods rrl+logistic_regression", {"rrl+logistic_regression", "training.weight_decay"}),
        ("methods --matrix", {"label_aware_smoothing", "logistic_regression"}),
        ("datasets", set(list_datasets()["name"])),
        ("datasets synthetic", {"synthetic", "irregular"}),
        (
            "simulate --sampler random --pruner none --repeats 2 --show samplers "
            "--method cross_entropy+icc,logistic_regression --results FOLDER",
            {"cross_entropy+icc", "logistic_regression"},
        ),
    ],
)
def test_no_list_or_replay_is_wider_than_the_terminal_or_cuts_a_name(
    command: str,
    names: set[str],
    width: int,
    folder: str,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    app(command.replace("FOLDER", folder).split(), standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()

    assert max(map(len, lines)) <= width
    words = {word.rstrip(":,") for line in lines for word in line.replace("│", " ").split()}
    assert names <= words


@pytest.mark.parametrize("width", [80, 120])
def test_what_explains_a_row_fits_the_terminal_and_keeps_ids_and_the_command_whole(
    width: int,
    folder: str,
    results: Results,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    row = results.rows().iloc[0]
    app(["explain", row["key"], "--results", folder], standalone_mode=False)
    *lines, command = capsys.readouterr().out.splitlines()

    assert all(len(line) <= width or line == row["study"] for line in lines)
    assert command == f"command     {row['command']}"
    assert row["study"] in " ".join(lines).split()


@pytest.mark.parametrize("command", ["leaderboard", "intervals", "tuning", "ranks"])
def test_tasks_come_in_the_order_of_their_factor(
    command: str, folder: str, capsys: pytest.CaptureFixture
) -> None:
    app([command, "--results", folder], standalone_mode=False)

    lines = capsys.readouterr().out.splitlines()
    titles = [line for line in lines if line.startswith("ham10000 · ")]
    factors = [int(re.findall(r"IF (\d+)", title)[0]) for title in titles]
    assert factors == sorted(factors)
    assert set(factors) == set(FACTORS)


def test_the_command_line_prints_what_python_renders(
    folder: str, results: Results, capsys: pytest.CaptureFixture
) -> None:
    answers = {
        "leaderboard": results.leaderboard(),
        "intervals": results.intervals(),
        "tuning": results.tuning(),
        "imbalance": results.imbalance(),
        "ranks": results.ranks(),
    }
    for command, answer in answers.items():
        for form in ("csv", "json", "table"):
            app([command, "--format", form, "--results", folder], standalone_mode=False)
            assert capsys.readouterr().out == answer.render(form)


def test_an_answer_shows_itself_as_text_and_in_a_notebook(results: Results) -> None:
    answer = results.compare("lmd", ["crt"], rule=RULES["oracle_test"])

    assert str(answer).startswith("ORACLE")
    assert answer._repr_html_().startswith("<p><strong>ORACLE")
    assert "<table" in results.leaderboard()._repr_html_()
    assert set(answer.frame["other"]) == {"crt"}
    frames = ["rows", "crossings", "robust_ranges", "over_range", "levels", "shares"]
    assert list(results.imbalance().frames) == frames
    with pytest.raises(UserError, match="Unknown part 'curve'"):
        results.imbalance().render("csv", part="curve")


def test_a_folder_may_be_a_text_or_a_path(folder: str, results: Results) -> None:
    pd.testing.assert_frame_equal(load(folder).frame, load(Path(folder)).frame)
    assert "key" in results.rows().columns


def test_the_logits_of_a_row_come_with_image_ids_and_labels(results: Results) -> None:
    rows = results.rows()
    tuned = (
        (rows["phase"] == "confirm") & (rows["status"] == "ok") & ~rows["is_default"].astype(bool)
    )
    key = rows.loc[tuned, "key"].iloc[0]
    ids, labels, logits = results.logits(key[:12])["test"]

    assert len(ids) == len(labels) == len(logits)


def test_a_folder_without_results_names_those_in_it_that_have_some() -> None:
    with pytest.raises(UserError, match="holds no results; these folders in it do: ") as refused:
        open_results(REFERENCE)
    named = str(refused.value).rpartition(" do: ")[2].removesuffix(".").split(", ")
    assert Path(ABLATION).as_posix() in named
    assert sorted(named) == sorted(m.parent.as_posix() for m in REFERENCE.glob("*/store.json"))
    with pytest.raises(UserError, match="There are no results in"):
        open_results(REFERENCE / "nowhere")
