"""Sections: what is shown is what the rows say, and what is missing is said to be."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from lmd_bench.leaderboard.line import SCORES
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY
from lmd_bench.report.blocks import Section, Table, percent, shaded
from lmd_bench.report.context import Context
from lmd_bench.report.page import sections
from lmd_bench.report.sections import NAMES
from lmd_bench.store.store import open_store
from tests.report.conftest import CLASSES, LABELS, SCRIPT, make_trial, tables


def made(context: Context, name: str) -> Section:
    (section,) = sections(context, [name])
    return section


def all_tables(section: Section) -> list[Table]:
    return [table for block in section.blocks for table in tables(block)]


def words_of(section: Section) -> str:
    return " ".join(
        line for block in section.blocks if block.kind == "text" for line in block.lines
    )


def test_every_section_is_shown_for_a_full_folder(context: Context) -> None:
    shown = [section.name for section in sections(context, NAMES)]
    # the folder has no ablation, no search over a range of factors and no evaluation
    absent = ("ablations", "over_range", "elsewhere")
    assert shown == [name for name in NAMES if name not in absent]


def test_the_leaderboard_marks_nothing_where_methods_share_one_seed(context: Context) -> None:
    first = all_tables(made(context, "leaderboard"))[0]  # factor 10, where both are confirmed
    best, second = (row.cells[1] for row in first.rows)
    # one of 4, then two of 4 nevi wrong: recalls (3/4, 1, 1) and (2/4, 1, 1)
    assert best.text == f"{100 * (11 / 12 + 10 / 12) / 2:.1f} ± {100 / 12 / 2**0.5:.1f}"
    assert (best.mark, second.mark) == ("", "")
    (note,) = [note for note in context.board.notes if "not compared" in note]
    assert note.endswith(f"for lack of two seeds or splits in common: {SCRIPT}")
    assert [row.method for row in first.rows] == ["crt", SCRIPT]


def test_a_method_that_lacks_a_task_is_not_among_those_over_all_tasks(context: Context) -> None:
    section = made(context, "over_tasks")
    table, profile = all_tables(section)
    assert [row.method for row in table.rows] == ["crt"]
    # with the other method, which kept one seed at factor 10, it shares one run there
    assert "All 3 runs of a method on 2 tasks" in words_of(section)
    assert "the interquartile mean is the mean" in words_of(section)
    assert f"Left out, as they lack runs of a task: {SCRIPT}." in words_of(section)
    # one of 4, then two of 4 nevi wrong: 11/12 and 10/12 on the way from 1/3 to 1
    assert table.rows[0].cells[1].text == f"{100 * (0.875 + (0.875 + 0.75) / 2) / 2:.1f}"
    assert [cell.text for cell in profile.rows[0].cells[1:]] == ["100"] * 4 + ["75"]


def test_one_task_has_nothing_over_tasks(context: Context) -> None:
    rows = [row for row in context.rows if row["imbalance_factor"] == 100.0]
    assert not sections(Context(context.store, rows, context.rule), ["over_tasks"])


def test_a_missing_cell_is_shown_with_the_command_that_fills_it(context: Context) -> None:
    second = all_tables(made(context, "leaderboard"))[1]
    cell = next(row.cells[1] for row in second.rows if row.method == SCRIPT)
    assert (cell.text, cell.mark, cell.value) == ("missing", "missing", None)
    gap = next(gap for gap in context.gaps if "IF 100" in gap.task)
    selected = make_trial(SCRIPT, 1, 0.4)["key"]
    assert gap.labels == (SCRIPT,)
    assert gap.command == f"lmd-bench confirm {selected} --results '{context.store.root}'"


def test_an_unconfirmed_task_is_filled_by_its_search(tmp_path) -> None:
    store = open_store(tmp_path, create=True)
    row = make_trial("crt", 0, 0.5)
    store.write(row)
    context = Context(store, [row], VAL_BALANCED_ACCURACY)
    (gap,) = context.gaps
    assert gap.command == "lmd-bench search --dataset toy"


def test_the_notes_and_the_table_of_what_is_missing_name_the_same_commands(tmp_path) -> None:
    store = open_store(tmp_path, create=True)
    rows = [make_trial("crt", 0, 0.5, factor) for factor in (10.0, 100.0)]
    rows.append(make_trial("lmd", 0, 0.5, 10.0))
    for row in rows[:2]:
        rows.append({**make_trial("crt", 1, 0.5, row["imbalance_factor"], row)})
        rows[-1] |= {f"test_{name}": 0.5 for name in SCORES}
    rows.append(make_trial("lmd", 1, 0.5, 10.0, rows[2]) | {f"test_{n}": 0.5 for n in SCORES})
    rows.append(make_trial("ncm", 0, 0.5, 10.0))
    context = Context(store, rows, VAL_BALANCED_ACCURACY)

    commands = [row.cells[2].text for row in all_tables(made(context, "leaderboard"))[-1].rows]
    assert len(commands) == 2  # ncm at 10 was searched alone, lmd at 100 not even that
    for command in commands:
        assert any(command in note for note in context.board.notes)


def test_a_folder_of_failures_alone_still_has_a_report(tmp_path) -> None:
    store = open_store(tmp_path, create=True)
    rows = [make_trial("crt", number, None) for number in range(3)]
    found = sections(Context(store, rows, VAL_BALANCED_ACCURACY), NAMES)
    names = [section.name for section in found]
    assert "failures" in names
    assert "budget" not in names
    assert "no trial finished" in words_of(found[0]).lower()


def test_the_heat_map_names_the_test_images_of_each_class(context: Context) -> None:
    table = all_tables(made(context, "classes"))[0]
    assert [head.text for head in table.heads[1:]] == CLASSES
    assert [head.note.split("n = ")[1] for head in table.heads[1:]] == ["4", "3", "2"]
    crt = next(row for row in table.rows if row.method == "crt")
    assert [cell.value for cell in crt.cells[1:]] == [(3 / 4 + 2 / 4) / 2, 1.0, 1.0]


def test_shades_go_from_0_to_10() -> None:
    assert [shaded(value).shade for value in (0.0, 0.04, 0.5, 1.0)] == [0, 0, 5, 10]
    assert shaded(float("nan")).shade is None


def test_a_missing_number_sorts_last_and_is_a_dash() -> None:
    assert (percent(float("nan")).text, percent(None).value) == ("–", None)


def test_confusion_is_that_of_scikit_learn(context: Context) -> None:
    crt = next(one for one in context.confirmed if one.study.label == "crt")
    truth = np.concatenate([labels for _, labels, _ in crt.judged])
    taken = np.concatenate([logits.argmax(axis=1) for _, _, logits in crt.judged])
    np.testing.assert_array_equal(crt.confusion(), confusion_matrix(truth, taken))


def test_bins_of_confidence_hold_every_image_of_every_seed(context: Context) -> None:
    crt = next(one for one in context.confirmed if one.study.label == "crt")
    (only,) = crt.bins()  # all images have logits 2, 0, 0
    assert only.n_images == 2 * len(LABELS)
    assert only.confidence == pytest.approx(np.exp(2) / (np.exp(2) + 2), rel=1e-6)
    assert only.accuracy == pytest.approx(15 / 18)
    assert crt.calibration_error() == pytest.approx(abs(only.confidence - 15 / 18), abs=0.06)


def test_absent_logits_are_said_to_be_missing(context: Context) -> None:
    for name in ("confusion", "reliability"):
        said = words_of(made(context, name))
        assert f"1 of 2 confirmed runs have no logits of test, each of {SCRIPT}" in said


def test_damaged_logits_cost_their_run_and_not_the_report(tmp_path) -> None:
    from tests.report.conftest import make_results

    root = make_results(tmp_path / "damaged")
    for file in (root / "logits").iterdir():
        file.write_bytes(b"PAR1")
    from lmd_bench.report.context import read_context

    said = words_of(made(read_context(root, VAL_BALANCED_ACCURACY), "confusion"))
    assert "2 of them damaged" in said


def test_importance_finds_the_only_setting_and_says_where_trials_are_too_few(
    context: Context,
) -> None:
    section = made(context, "importance")
    (crt,) = all_tables(section)[0].rows
    assert [cell.text for cell in crt.cells] == ["crt", "training.lr", "100.0"]
    assert f"Too few trials to tell, below 20 that ended well: {SCRIPT} (2)." in words_of(section)


def test_every_trial_is_in_the_table_and_failed_ones_have_no_line(context: Context) -> None:
    section = made(context, "trials")
    crt = next(table for table in all_tables(section) if table.method == "crt")
    assert len(crt.rows) == 25
    assert [row.cells[2].text for row in crt.rows[23:]] == ["ok, selected", "diverged"]
    figure = next(block for block in section.blocks if block.kind == "figure")
    picture = next(picture for picture in figure.pictures if picture.method == "crt")
    assert picture.caption == "crt · 24 trials, 1 without a value"
    assert picture.svg.count('class="track') == 24
    assert picture.svg.count('class="track best"') == 1


def test_the_budget_curve_ends_at_the_best_of_all_trials(context: Context) -> None:
    section = made(context, "budget")
    crt = next(row for row in all_tables(section)[0].rows if row.method == "crt")
    assert crt.cells[-1].text == "63.0"  # 0.4 + 0.01 * 23
    units = [b.command.split("--against ")[1][:6] for b in section.blocks if b.kind == "figure"]
    assert units == ["trials", "hours ", "trials", "hours "]


def test_imbalance_needs_more_than_one_factor(context: Context) -> None:
    assert sections(context, ["imbalance"])
    rows = [row for row in context.rows if row["imbalance_factor"] == 100.0]
    assert not sections(Context(context.store, rows, context.rule), ["imbalance"])


def test_failures_are_counted_by_cause(context: Context) -> None:
    (table,) = all_tables(made(context, "failures"))
    (row,) = table.rows
    assert [cell.text for cell in row.cells[:3]] == ["diverged", f"loss {SCRIPT}", "2"]


def test_provenance_counts_every_run(context: Context) -> None:
    versions, commands = all_tables(made(context, "provenance"))[-2:]
    for table in (versions, commands):
        assert sum(row.cells[-1].value or 0 for row in table.rows) == len(context.rows)
