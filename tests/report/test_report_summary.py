"""The first section: who leads, who is not told apart, what the data cannot show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.leaderboard.leaders import Leader, leaders_of
from lmd_bench.leaderboard.line import SCORES
from lmd_bench.leaderboard.studies.predictions import Judged
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY
from lmd_bench.leaderboard.tables.render import render
from lmd_bench.report.blocks import Figure, Listing, Text
from lmd_bench.report.context import Context, read_context
from lmd_bench.report.sections import classes, leaderboard, summary
from lmd_bench.store.store import open_store
from tests.report.conftest import CLASSES, make_trial

N = 60  # test images of each class
LABELS = np.repeat([0, 1, 2], N)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Return results of a good method, of an equal one, and of one that is far behind."""
    root = tmp_path_factory.mktemp("three")
    store = open_store(root, create=True)
    generator = np.random.default_rng(0)
    for method, skill in (("good", 0.8), ("equal", 0.79), ("poor", 0.4)):
        search = make_trial(method, 0, 0.5)
        store.write(search)
        for seed in (1, 2, 3, 4, 5):
            row = make_trial(method, seed, 0.5, source=search)
            right = generator.random(len(LABELS)) < skill
            guess = np.where(right, LABELS, (LABELS + 1) % 3)
            z = 4.0 * np.eye(3, dtype=np.float32)[guess]
            images = zip(LABELS.tolist(), z.tolist(), strict=True)
            logits = [(f"i{n:03}", "test", label, of) for n, (label, of) in enumerate(images)]
            recall = [float(right[c == LABELS].mean()) for c in range(3)]
            score = float(np.mean(recall))
            scores = {f"test_{name}": score for name in SCORES} | {"test_recall": recall}
            store.write(row | scores, logits)
    return read_context(root, VAL_BALANCED_ACCURACY)


def test_the_leader_and_who_is_not_told_apart_from_it_come_first(three: Context) -> None:
    (leader,) = leaders_of(three.judged)

    assert {leader.best.label, *leader.together} == {"good", "equal"}
    section = summary.section(three)
    assert section is not None
    first = section.blocks[0]
    assert isinstance(first, Text)
    assert f"{leader.best.label} leads with" in first.lines[0]
    assert f"1 of 2 others are not told apart from it: {leader.together[0]}." in first.lines[0]


def test_a_sentence_names_the_encoder_and_no_fingerprint() -> None:
    task = (
        "pbc · balanced_v2 · IF 100 · 224 px · a7f31b14 · efficientnet_lite0 pretrained · adapter"
    )
    right = np.zeros((6, 1), dtype=np.bool_)
    labels = np.repeat([0, 1], 3)
    one, other = (
        Judged(name, (1,), tuple("abcdef"), labels, right, ("many", "few")) for name in "ab"
    )
    (first, *_) = summary._sentence(leaders_of({task: [one, other]})[0]).partition(": ")
    assert first == "pbc · balanced_v2 · IF 100 · 224 px · efficientnet_lite0 pretrained · adapter"


def test_the_forest_is_of_each_method_less_the_best(three: Context) -> None:
    section = summary.section(three)
    assert section is not None
    (figure,) = [block for block in section.blocks if isinstance(block, Figure)]
    rows = {row.cells[0].text: row.cells for row in figure.numbers[0].rows}

    assert float(rows["poor"][1].value) < -0.2
    assert rows["poor"][2].text.startswith("[−")
    assert ", −" in rows["poor"][2].text  # the interval holds no 0


def test_the_matrix_turns_its_sign_below_the_diagonal_and_marks_what_is_told_apart(
    three: Context,
) -> None:
    section = summary.section(three)
    assert section is not None
    (listing,) = [block for block in section.blocks if isinstance(block, Listing)]
    cells = {
        (row.cells[0].text, head.text.split(" ")[1]): cell
        for row in listing.table.rows
        for head, cell in zip(listing.table.heads[1:], row.cells[1:], strict=True)
    }

    assert cells["good", "poor"].value == -cells["poor", "good"].value
    assert cells["good", "poor"].mark == cells["poor", "equal"].mark == "best"
    assert cells["good", "equal"].mark == ""
    assert cells["good", "good"].text == "–"


def test_without_logits_there_is_no_summary(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    store.write(make_trial("alone", 0, 0.5))

    assert summary.section(read_context(tmp_path, VAL_BALANCED_ACCURACY)) is None
    assert len(CLASSES) == 3


def test_the_leaderboard_bears_the_same_marks_in_every_format(three: Context) -> None:
    frame = three.board.frame
    assert set(frame["label"][frame["with_best"]]) == {"good", "equal"}

    def marked(text: str, sign: str, first: str, end: str) -> set[str]:
        lines = [line for line in text.splitlines() if line.startswith(first)]
        return {line.removeprefix(first).split(end)[0].strip() for line in lines if sign in line}

    terminal = marked(render(three.board, width=120), "• ", "", " ") - {"•:"}
    markdown = marked(render(three.board, "markdown"), " **", "| ", " |")
    latex = marked(render(three.board, "latex"), "} $\\pm$", "", " &")
    (table,) = [
        block.table
        for block in leaderboard.section(three).blocks
        if isinstance(block, Listing) and block.table.sortable
    ]
    html = {row.method for row in table.rows if row.cells[1].mark == "best"}
    assert terminal == markdown == latex == html == {"good", "equal"}
    assert not any(cell.mark for row in table.rows for cell in row.cells[2:])


def test_who_leads_is_computed_alike_for_leaderboard_and_summary(three: Context) -> None:
    (leader,) = leaders_of(three.judged)
    frame = three.board.frame

    assert set(frame["label"][~frame["with_best"]]) == {*leader.behind} == {"poor"}


def moved(leader: Leader, seeds: tuple[int, ...], place: int) -> list[Judged]:
    """Return the methods of a leader, one of them with other seeds; the best is at place 0."""
    methods = [leader.best, *leader.others]
    methods[place] = replace(methods[place], seeds=seeds)
    return methods


def test_what_shares_no_two_seeds_with_the_best_is_named_and_not_marked(three: Context) -> None:
    (leader,) = leaders_of(three.judged)
    for seeds in ((6, 7, 8, 9, 10), (5, 6, 7, 8, 9)):
        (found,) = leaders_of({"task": moved(leader, seeds, 1)})
        assert (found.marked, found.unknown) == ([leader.best.label], [leader.together[0]])
        assert (found.together, found.behind) == ([], ["poor"])
        assert "1 of 2 others could not be compared" in summary._sentence(found)

        (found,) = leaders_of({"task": moved(leader, seeds, 0)})
        assert (found.marked, len(found.unknown)) == ([], 2)
        assert "told apart" not in summary._sentence(found)


def test_a_method_with_the_same_predictions_as_the_best_bears_its_mark(three: Context) -> None:
    """Equal predictions in several runs have no p, and need none."""
    (leader,) = leaders_of(three.judged)
    copy = replace(leader.best, label="copy")
    (found,) = leaders_of({"task": [leader.best, copy, *leader.others]})
    assert {leader.best.label, "copy"} <= {*found.marked}
    assert not found.unknown


def test_the_recall_of_each_class_has_its_interval(three: Context) -> None:
    section = classes.section(three)
    assert section is not None
    (figure,) = [block for block in section.blocks if isinstance(block, Figure)]
    for row in figure.maps[0].rows:
        for cell in row.cells[1:]:
            low, high = map(float, cell.note.split(" to "))
            assert 0 <= low < 100 * float(cell.value) < high <= 100
