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

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
FOLDER = str(REFERENCE / "ham10000-32px")
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
def results() -> Results:
    return open_results(FOLDER)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_reading_command_is_wider_than_the_terminal_or_cuts_a_name(
    command: str, width: int, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    app([*command.split(), "--results", FOLDER], standalone_mode=False)
    text = capsys.readouterr().out
    lines = text.splitlines()

    assert max(map(len, lines)) <= width
    words = {line.split(" ")[0] for line in lines}
    if command not in ("ablate --table", "intervals --by-class", "transfer --table"):
        assert {"cross_entropy+icc", "logistic_regression"} <= words
    if command not in ("imbalance", "imbalance --metric mcc", "transfer --table"):
        titles = [line for line in lines if line.startswith("ham10000 · ") or " on ham" in line]
        assert titles
        assert all(re.search(r"· \d+ px · [0-9a-f]{8}", title) for title in titles)


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
            f"simulate --sampler random --pruner none --repeats 2 --show samplers "
            f"--method cross_entropy+icc,logistic_regression --results {FOLDER}",
            {"cross_entropy+icc", "logistic_regression"},
        ),
    ],
)
def test_no_list_or_replay_is_wider_than_the_terminal_or_cuts_a_name(
    command: str,
    names: set[str],
    width: int,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    app(command.split(), standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()

    assert max(map(len, lines)) <= width
    words = {word.rstrip(":,") for line in lines for word in line.replace("│", " ").split()}
    assert names <= words


@pytest.mark.parametrize("width", [80, 120])
def test_what_explains_a_row_fits_the_terminal_and_keeps_ids_and_the_command_whole(
    width: int,
    results: Results,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    row = results.rows().iloc[0]
    app(["explain", row["key"], "--results", FOLDER], standalone_mode=False)
    *lines, command = capsys.readouterr().out.splitlines()

    assert all(len(line) <= width or line == row["study"] for line in lines)
    assert command == f"command     {row['command']}"
    assert row["study"] in " ".join(lines).split()


@pytest.mark.parametrize("command", ["leaderboard", "intervals", "tuning", "ranks"])
def test_tasks_come_in_the_order_of_their_factor(
    command: str, capsys: pytest.CaptureFixture
) -> None:
    app([command, "--results", FOLDER], standalone_mode=False)

    lines = capsys.readouterr().out.splitlines()
    titles = [line for line in lines if line.startswith("ham10000 · ")]
    factors = [int(re.findall(r"IF (\d+)", title)[0]) for title in titles]
    assert factors == sorted(factors)
    assert set(factors) == {50, 100, 200}


def test_the_command_line_prints_what_python_renders(
    results: Results, capsys: pytest.CaptureFixture
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
            app([command, "--format", form, "--results", FOLDER], standalone_mode=False)
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


def test_a_folder_may_be_a_text_or_a_path(results: Results) -> None:
    pd.testing.assert_frame_equal(load(FOLDER).frame, load(Path(FOLDER)).frame)
    assert "key" in results.rows().columns


def test_the_logits_of_a_row_come_with_image_ids_and_labels(results: Results) -> None:
    rows = results.rows()
    key = rows.loc[(rows["phase"] == "confirm") & (rows["status"] == "ok"), "key"].iloc[0]
    ids, labels, logits = results.logits(key[:12])["test"]

    assert len(ids) == len(labels) == len(logits)


def test_a_folder_without_results_names_those_in_it_that_have_some() -> None:
    with pytest.raises(UserError, match="holds no results; these .* do: .*frozen"):
        open_results(REFERENCE)
    with pytest.raises(UserError, match="There are no results in"):
        open_results(REFERENCE / "nowhere")
