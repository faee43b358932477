import json
from math import log10

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.leaderboard.board import build
from lmd_bench.leaderboard.imbalance.interactions import range_surface, share_frame, share_text
from lmd_bench.leaderboard.imbalance.over_range import (
    Models,
    level_frame,
    range_lines,
    range_studies,
    weighted,
)
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.predictions import Judged
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.tables.render import render
from lmd_bench.stats.metrics import PRIMARY

FACTORS = (10.0, 100.0)


def task(factor):
    return TaskSpec(dataset="toy", imbalance_factor=factor, image_size=32)


@pytest.fixture
def over(row):
    """Return a maker of a study over a range: test scores of chosen and default at each factor."""

    def make(method, chosen, default, study="range", val=(0.8, 0.6, 0.7)):
        drawn = (*FACTORS, FACTORS[1])
        trials = [
            row(method, number=n, task=task(f), val_balanced_accuracy=score)
            for n, (f, score) in enumerate(zip(drawn, val, strict=True))
        ]
        # The first trials are the default, one a level.
        trials[1]["is_default"] = True
        rows = list(trials)
        for factor, tuned, alone in zip(FACTORS, chosen, default, strict=True):
            for seed, (one, two) in enumerate(zip(tuned, alone, strict=True), start=1000):
                source = {"number": 2, "source": trials[2]}
                scores = {"seed": seed, "task": task(factor)}
                rows.append(row(method, **source, **scores, test_balanced_accuracy=one))
                at = {"number": 0, "source": trials[FACTORS.index(factor)]}
                rows.append(row(method, **at, **scores, test_balanced_accuracy=two))
        return [{**r, "study": f"{study}/{method}", "factor_range": "10:100"} for r in rows]

    return make


def test_a_study_over_a_range_is_in_no_tasks_table(over, study):
    rows = over("lmd", [[0.8], [0.6]], [[0.7], [0.5]])
    assert group_studies(rows) == []
    single = study("lmd", [0.3], {0: [0.5]}, task=task(10.0))
    assert len(group_studies(rows + single)) == 1


def test_a_line_holds_the_mean_the_worst_level_the_slope_and_the_gain(over):
    rows = over("lmd", [[0.8, 0.9], [0.5, 0.6]], [[0.7, 0.7], [0.5, 0.5]])
    (line,) = range_lines(range_studies(rows), [], RULE, None)
    assert line.mean.value == pytest.approx(0.7)
    assert (line.worst_factor, line.worst.value) == (100.0, pytest.approx(0.55))
    assert line.slope.value == pytest.approx(0.55 - 0.85)  # a factor ten times as large
    assert line.gain.value == pytest.approx(0.7 - 0.6)
    assert line.mean.seeds.low < 0.7 < line.mean.seeds.high
    assert line.study.source is not None
    assert line.study.source["trial_number"] == 2


def test_the_slope_is_the_least_squares_one_over_three_levels(row):
    scores = {10.0: 0.9, 30.0: 0.6, 100.0: 0.5}
    trials, rows = [], []
    for number, (factor, score) in enumerate(scores.items()):
        trials.append(row("crt", number=number, task=task(factor), val_balanced_accuracy=0.5))
        trials[-1]["is_default"] = True
        at = {"number": number, "source": trials[-1], "seed": 1, "task": task(factor)}
        rows.append({**row("crt", **at, test_balanced_accuracy=score), "is_default": True})
    rows = [{**r, "study": "range/crt", "factor_range": "10:100"} for r in trials + rows]
    (line,) = range_lines(range_studies(rows), [], RULE, None)
    slope = np.polyfit([log10(f) for f in scores], list(scores.values()), 1)[0]
    assert line.slope.value == pytest.approx(slope)
    assert line.study.source is None


def test_beside_each_level_stands_what_was_tuned_there_alone(over, study):
    rows = over("lmd", [[0.8, 0.8], [0.6, 0.6]], [[0.7, 0.7], [0.5, 0.5]])
    singles = study("lmd", [0.3, 0.5], {1: [0.65, 0.65]}, task=task(100.0))
    singles += study("crt", [0.3], {0: [0.9]}, task=task(10.0))
    (line,) = range_lines(range_studies(rows), group_studies(rows + singles), RULE, None)
    (factor,) = line.alone
    _, score, difference = line.alone[factor]
    assert (factor, score.value) == (100.0, pytest.approx(0.65))
    assert difference.value == pytest.approx(-0.05)
    frame = level_frame([line]).set_index("imbalance_factor")
    assert frame.loc[100.0, "difference"] == pytest.approx(-0.05)
    assert np.isnan(frame.loc[10.0, "difference"])


@pytest.mark.parametrize("column", [{"task_fingerprint": "another version"}, {"n_epochs": 20}])
def test_what_was_tuned_on_other_images_or_epochs_stands_beside_no_level(over, study, column):
    rows = over("lmd", [[0.8, 0.8], [0.6, 0.6]], [[0.7, 0.7], [0.5, 0.5]])
    singles = study("lmd", [0.3, 0.5], {1: [0.65, 0.65]}, task=task(100.0))
    singles = [row | column for row in singles]
    (line,) = range_lines(range_studies(rows), group_studies(singles), RULE, None)
    assert line.alone == {}


@pytest.mark.parametrize("ids", ["abcdefgh", "abcdefghij"])
def test_models_that_were_judged_on_other_images_are_not_subtracted(ids):
    def models(ids):
        labels = np.arange(len(ids)) % 2
        right = np.ones((len(ids), 2), dtype=bool)
        judged = Judged("lmd", (1, 2), tuple(ids), labels, right, ("many", "few"))
        return Models("lmd", {10.0: dict.fromkeys((1, 2), {})}, None, PRIMARY.name, {10.0: judged})

    with pytest.raises(UserError, match="lmd and lmd are of other test images"):
        weighted([(1.0, models("bcdefghi"), 10.0), (-1.0, models(ids), 10.0)])


def test_the_leaderboard_shows_one_line_a_method_best_mean_first(over):
    rows = over("crt", [[0.5, 0.6], [0.4, 0.4]], [[0.5, 0.5], [0.4, 0.4]])
    rows += over("lmd", [[0.8, 0.9], [0.5, 0.6]], [[0.7, 0.7], [0.5, 0.5]])
    board = build(rows)
    assert [line.study.method for line in board.over_range] == ["lmd", "crt"]
    text = render(board, width=140)
    assert "toy · balanced · IF 10:100 · 32 px" in text
    assert "55.0 at 100" in text.replace("–", "") or "55.0 – at 100" in text
    assert "| method | mean of levels" in render(board, "markdown")
    told = json.loads(render(board, "json"))["over_range"]
    assert [line["method"] for line in told] == ["lmd", "crt"]
    assert told[0]["mean"] == pytest.approx(0.7)


def test_what_was_not_confirmed_has_no_line(over):
    rows = [r for r in over("lmd", [[0.8], [0.6]], [[0.7], [0.5]]) if r["phase"] == "search"]
    assert range_lines(range_studies(rows), [], RULE, None) == []


def test_an_interaction_with_the_factor_is_named(row):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(60):
        level, x = number % 2, float(rng.random())
        value = 0.6 - 0.1 * level - (x - 0.2 - 0.6 * level) ** 2 + 0.01 * rng.standard_normal()
        one = row("lmd", number=number, task=task(FACTORS[level]), val_balanced_accuracy=value)
        config = json.dumps({"icc.beta": x, "icc.mode": ["a", "b"][int(rng.integers(2))]})
        rows.append({**one, "config_json": config, "study": "r", "factor_range": "10:100"})
    (study,) = range_studies(rows)
    surface = range_surface(study)
    assert surface is not None
    assert surface.interacting == ["icc.beta"]
    frame = share_frame([surface]).set_index("part")
    assert frame.loc[["factor", "hyperparameters", "interaction"], "share"].sum() == pytest.approx(
        1.0
    )
    assert frame.loc["interaction", "share"] > 0.2
    assert frame.loc["factor x icc.mode", "p"] > 0.05
    assert share_text([surface])[-1].rows[0][-1] == "icc.beta"


def test_two_trials_have_no_surface(over):
    rows = over("lmd", [[0.8], [0.6]], [[0.7], [0.5]])
    (study,) = range_studies([r for r in rows if r["trial_number"] < 2])
    assert range_surface(study) is None
