import csv
import io
import json
from pathlib import Path

import pytest

from lmd_bench.cli.emit import emit_leaderboard
from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.board import Leaderboard, build, load
from lmd_bench.leaderboard.line import line_columns
from lmd_bench.leaderboard.studies.budget import Budget
from lmd_bench.leaderboard.studies.rules import RULES
from lmd_bench.leaderboard.tables.columns import settings_text, swept_text
from lmd_bench.leaderboard.tables.render import FORMATS, render
from lmd_bench.store.store import open_store


@pytest.fixture
def board(study) -> Leaderboard:
    rows = study("lmd", [0.3, 0.5], {1: [0.62, 0.60], 0: [0.50, 0.52]})
    rows += study("logit_adjustment", [0.3], {0: [0.55, None]})
    rows += study("cross_entropy+tau_norm_of_a_long_name", [0.3, 0.2], {0: [0.4, 0.4]})
    return build(rows + study("rrl", [0.2, None]))


def test_percentages_have_one_decimal_and_their_spread(board: Leaderboard) -> None:
    text = render(board, "table", width=140)

    assert "61.0 ± 1.4" in text  # sd of 62 and 60 is the square root of 2
    assert "51.0 ± 1.4" in text
    assert "81.0" in text


def test_header_says_metric_spread_selection_groups_and_chance(board: Leaderboard) -> None:
    text = " ".join(render(board, "table", width=100).split())

    assert "Test balanced accuracy in %, higher is better" in text
    assert "mean ± SD over the retraining seeds of one configuration (n = 1 to 2)" in text
    assert "selected by val_balanced_accuracy" in text
    assert "each third by training images" in text
    assert "4 classes, chance 25.0" in text


def test_notes_and_the_footnote_of_unequal_trials_are_printed(board: Leaderboard) -> None:
    text = " ".join(render(board, "table", width=140).split())

    assert "1*" in text
    assert (
        "* fewer trials, both stages together, than others of its task (its space may be smaller)"
        in text
    )
    assert "searched, not confirmed: rrl (2 trials: 1 ok, 1 diverged) on toy" in text
    assert "1 of 2" in text


@pytest.mark.parametrize("width", [20, 40, 80, 100, 200])
def test_no_line_of_a_terminal_table_is_wider_than_the_terminal(
    board: Leaderboard, width: int
) -> None:
    text = render(board, "table", width=width)

    assert max(len(line) for line in text.splitlines()) <= width


def test_eighty_columns_keep_every_score_whole_and_name_what_is_left_out(
    board: Leaderboard,
) -> None:
    text = render(board, "table", width=80)

    assert "61.0 ± 1.4 51.0 ± 1.4 56.0 ± 1.4 81.0 61.0 41.0" in text
    assert "…" not in text
    assert "Too narrow for: Val" in text


def test_eighty_columns_hold_trials_and_time_beside_the_scores(study) -> None:
    text = render(build(study("logit_adjustment", [0.3], {0: [0.55, 0.56]})), "table", width=80)

    assert "Trials" in text
    assert "30 s" in text


def test_a_wide_terminal_shows_every_column(board: Leaderboard) -> None:
    text = render(board, "table", width=160)

    assert "Too narrow" not in text
    for header in ("Method", "Macro", "Many", "Few", "Val", "Trials", "Seeds", "Time", "Alone"):
        assert header in text


def test_text_carries_colour_codes_only_when_asked(board: Leaderboard) -> None:
    assert "\x1b" not in render(board, "table", width=80)
    assert "\x1b" in render(board, "table", width=80, color=True)


def test_markdown_table_has_equally_many_cells_in_each_line(board: Leaderboard) -> None:
    lines = [line for line in render(board, "markdown").splitlines() if line.startswith("|")]

    assert len(lines) == 2 + 3
    assert len({line.count("|") for line in lines}) == 1
    assert "61.0 ± 1.4" in lines[2]


def test_csv_carries_fractions_under_stable_names(board: Leaderboard) -> None:
    lines = list(csv.DictReader(io.StringIO(render(board, "csv"))))

    assert tuple(lines[0]) == line_columns()
    assert [line["method"] for line in lines][:2] == ["lmd", "logit_adjustment"]
    assert float(lines[0]["test_balanced_accuracy"]) == pytest.approx(0.61)


def test_json_parses_and_says_null_for_what_is_undefined(board: Leaderboard) -> None:
    data = json.loads(render(board, "json"))

    assert data["rows"][0]["test_balanced_accuracy"] == pytest.approx(0.61)
    assert data["rows"][1]["test_balanced_accuracy_sd"] is None  # one seed
    assert data["selection"]["name"] == "val_balanced_accuracy"
    assert any("not confirmed: rrl" in note for note in data["notes"])


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_renders_a_board_without_lines(study, form: str) -> None:
    board = build(study("rrl", [0.2]))

    text = render(board, form)

    assert text.endswith("\n")
    if form in ("table", "markdown"):
        assert "No study is confirmed yet" in text
        assert "not confirmed: rrl" in text


def test_an_unknown_format_is_an_error_that_lists_the_choices(board: Leaderboard) -> None:
    with pytest.raises(UserError, match="Unknown format 'html'; choose from csv, json, latex"):
        render(board, "html")


def test_printed_csv_keeps_its_notes_out_of_the_data(
    tmp_path: Path, study, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(tmp_path, create=True)
    for row in study("crt", [0.3], {0: [0.5]}) + study("rrl", [0.3]):
        store.write(row)

    emit_leaderboard(load(tmp_path), "csv", None)

    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "not confirmed: rrl" in err


def test_an_encoding_without_the_signs_does_not_stop_the_print(
    tmp_path: Path, study, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path, create=True)
    for row in study("crt", [0.3], {0: [0.5, 0.6]}):
        store.write(row)
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stdout)

    emit_leaderboard(load(tmp_path), "table", None)

    stdout.seek(0)
    assert "55.0 ? 7.1" in stdout.read()


@pytest.mark.parametrize("form", FORMATS)
def test_every_output_bears_the_watermark_of_the_oracle(study, form: str) -> None:
    board = build(study("crt", [0.3], {0: [0.55, 0.56]}), RULES["oracle_test"])

    text = " ".join(render(board, form, width=100).split())

    assert "oracle_test" in text.replace("\\", "")  # LaTeX escapes _
    assert "chosen on test" in text.lower()
    if form != "csv":  # which has no room for sentences
        assert "ORACLE: CHOSEN ON TEST" in text


def test_a_csv_of_the_oracle_says_so_on_stderr_too(tmp_path: Path, study, capsys) -> None:
    store = open_store(tmp_path, create=True)
    for row in study("crt", [0.3], {0: [0.5]}):
        store.write(row)

    emit_leaderboard(load(tmp_path, RULES["oracle_test"]), "csv", None)

    assert "ORACLE: CHOSEN ON TEST" in capsys.readouterr().err


def test_a_missing_cell_is_shown_as_missing_and_does_not_count_as_seeds(study) -> None:
    rows = study("crt", [0.3, 0.5], {0: [0.55, 0.56]}) + study("lmd", [0.3], {0: [0.4, 0.5]})

    text = " ".join(render(build(rows), "table", width=140).split())

    assert "crt – 55.5 ± 0.7" in text
    assert "(n = 2)" in text


def test_the_header_names_the_budget(study) -> None:
    board = build(study("crt", [0.3], {0: [0.5]}), budget=Budget(1.0, "trials"))

    assert (
        "At equal cost: the first 1 trials of each method, those of the search of its stage 1"
        in render(board, "markdown")
    )


def test_searched_and_swept_settings_are_shown_where_rows_know_them(study) -> None:
    base = study("ce", [0.2, 0.3], {0: [0.5]}, n_searched=5, n_swept=1)
    base = [row | {"encoder_key": f"e{n}"} for n, row in enumerate(base)]
    stage2 = {"calibration": "crt", "encoder_key": "e0", "encoder_rank": 1}
    own = [row | stage2 for row in study("logistic", [0.4], {0: [0.6]}, n_searched=0, n_swept=9)]
    older = study("older", [0.1], {0: [0.2]})

    board = build([*base, *own, *older])
    lines = {line["label"]: line for line in board.frame.to_dict("records")}
    shown = {name: (settings_text(line), swept_text(line)) for name, line in lines.items()}

    assert shown == {"ce": ("5", "1"), "logistic": ("5 + 0", "9"), "older": ("–", "–")}
    assert "Settings" in render(board, width=200)
    assert "Settings" in render(board, "markdown")
    assert "Settings" not in render(build(older), width=200)
