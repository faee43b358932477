"""The numbers of docs/reference-results.md are those of the rows that it speaks of."""

import re

import pytest

from lmd_bench.experiments.ablation.analysis import read_ablations
from lmd_bench.experiments.results import open_results
from lmd_bench.leaderboard.tables.text import with_bounds
from tests.docs.blocks import ROOT

FOLDER = ROOT / "results" / "reference" / "ham10000-32px"
METHODS = {
    "`logistic_regression` on cross-entropy features": "logistic_regression",
    "`vfc` on a cross-entropy encoder": "vfc",
    "`cross_entropy+icc` (LMD without its stage 1)": "cross_entropy+icc",
    "`logit_adjustment` post hoc": "logit_adjustment",
    "balanced softmax": "balanced_softmax",
    "`crt` on a cross-entropy encoder": "crt",
    "`cross_entropy` alone": "cross_entropy",
    "`rrl` (LMD without its stage 2)": "rrl",
}
CELLS = {
    "CE": "ce",
    "CE + L_prob": "ce_prob",
    "CE + L_prob + L_batch": "ce_prob_batch",
    "RRL (all three losses)": "rrl_alone",
}


@pytest.fixture(scope="module")
def rows() -> dict[str, list[str]]:
    """Return the cells of each row of the page's tables, by the first."""
    text = (ROOT / "docs" / "reference-results.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {first: others for first, *others in lines}


def test_the_comparisons_with_lmd_are_what_compare_gives(rows) -> None:
    found = open_results(FOLDER).compare("lmd", list(METHODS.values()))
    text = " ".join(found.render(width=400).split())

    for title, method in METHODS.items():
        assert len(rows[title]) == 3
        for cell in rows[title]:
            assert f"{method} {cell} " in text


def test_the_changes_of_the_ablation_are_what_ablate_gives(rows) -> None:
    (analysis,) = read_ablations(FOLDER)
    changes = {effect.contrast.name: effect.primary for effect in analysis.changes}

    for title, cell in CELLS.items():
        change = changes[cell]
        assert rows[title][-1] == with_bounds(change.value, change.interval, "+")
    text = (ROOT / "docs" / "reference-results.md").read_text(encoding="utf-8")
    assert with_bounds(changes["ce_icc"].value, changes["ce_icc"].interval, "+") in text


def test_the_least_detectable_difference_is_what_compare_gives() -> None:
    text = (ROOT / "docs" / "reference-results.md").read_text(encoding="utf-8")
    said = re.search(r"80 % power is (\d+) points at best and (\d+) in the median", text)
    found = open_results(FOLDER).compare("lmd").frame
    detectable = 100 * found[found["other"].isin(METHODS.values())]["detectable"]

    assert said is not None
    assert said.groups() == (f"{detectable.min():.0f}", f"{detectable.median():.0f}")
