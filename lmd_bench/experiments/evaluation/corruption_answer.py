"""What rows of phase `corrupted` say: scores by corruption and strength, and what they lose."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.data.corruptions import STRENGTHS
from lmd_bench.experiments.evaluation.runs import Runs
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.measure import Sides, measure
from lmd_bench.leaderboard.studies.predictions import Judged, clusters_of, judged_runs
from lmd_bench.leaderboard.tables.text import Part, Table, with_bounds
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import joint_columns
from lmd_bench.store.store import Store

CLEAN, ALL = "clean", "mean of all"
Place = tuple[str, int]  # corruption and strength


def corruption_answer(
    store: Store, runs: Sequence[Runs], by_place: Mapping[Place, Mapping[str, Row]]
) -> Answer:
    """Return what rows of phase `corrupted` say of the runs that were judged.

    Args:
        store: Where the logits of both lie.
        runs: Of one task.
        by_place: The row of each run, by its key, at every corruption and strength.

    Raises:
        UserError: logits of clean images that were not kept, or damaged ones.
    """
    judged = [_judged(store, of_config, by_place) for of_config in runs]
    return _answer(judged, runs[0].first["dataset"])


def _judged(
    store: Store, runs: Runs, by_place: Mapping[Place, Mapping[str, Row]]
) -> tuple[Judged, dict[Place, Judged]]:
    """Return what the models of one configuration got right on clean and on corrupted images."""
    clean = judged_runs(store, runs.label, runs.rows, runs.first)
    if clean is None:
        raise UserError(
            f"The test logits of {runs.label} are not in {store.root}, so nothing can be compared "
            "with them; run its confirmation again."
        )
    found: dict[Place, Judged] = {}
    for place, rows in by_place.items():
        of_seeds = {seed: rows[run["key"]] for seed, run in runs.rows.items()}
        judged = judged_runs(store, runs.label, of_seeds, runs.first)
        assert judged is not None, "its logits were just written"
        found[place] = judged
    return clean, found


def _answer(judged: Sequence[tuple[Judged, Mapping[Place, Judged]]], dataset: str) -> Answer:
    lines = [line for clean, places in judged for line in _lines(clean, places)]
    frame = pd.DataFrame(lines).assign(dataset=dataset)

    def text() -> list[Part]:
        parts: list[Part] = [
            f"Balanced accuracy in % on the {len(judged[0][0].labels)} test images of {dataset} by "
            "strength of a corruption, and less that on clean images. [ ]: 95 % over test images "
            "and retrainings together."
        ]
        for clean, _ in judged:
            of_method = [line for line in lines if line["method"] == clean.label]
            score = of_method[0]
            parts.append(f"{clean.label}, clean: {_shown(score, 'score', '')}")
            for name, sign in (("score", ""), ("change", "+")):
                head = (name, *(str(strength) for strength in STRENGTHS))
                parts.append(Table(head, _cells(of_method[1:], name, sign)))
        return parts

    return Answer({"rows": frame}, text)


def _lines(clean: Judged, places: Mapping[Place, Judged]) -> list[dict[str, Any]]:
    """Return scores and changes: clean, of each corruption and strength, and their means."""
    seeds, lesions = clean.seeds, clusters_of(clean)
    kinds = list(dict.fromkeys(kind for kind, _ in places))
    lines = [_line(clean, CLEAN, 0, [], lesions)]
    for kind in kinds:
        lines += [_line(clean, kind, s, [places[kind, s]], lesions) for s in STRENGTHS]
    for strength in STRENGTHS:
        lines.append(_line(clean, ALL, strength, [places[k, strength] for k in kinds], lesions))
    assert all(of.seeds == seeds for of in places.values()), "each run was judged at each place"
    return lines


def _line(
    clean: Judged, kind: str, strength: int, worse: Sequence[Judged], lesions: Any
) -> dict[str, Any]:
    sides: Sides = [(1 / len(worse), of) for of in worse] or [(1.0, clean)]
    found = measure(sides, clean.seeds, lesions=lesions)
    line = {"method": clean.label, "corruption": kind, "strength": strength}
    line |= {"n_seeds": len(clean.seeds), "score": found.value, **joint_columns(found, "score_")}
    if worse:
        change = measure([*sides, (-1.0, clean)], clean.seeds, lesions=lesions)
        line |= {"change": change.value, **joint_columns(change, "change_")}
    return line


def _cells(lines: Sequence[Mapping[str, Any]], name: str, sign: str) -> list[list[str]]:
    rows: dict[str, list[str]] = {}
    for line in lines:
        rows.setdefault(line["corruption"], []).append(_shown(line, name, sign))
    return [[kind, *cells] for kind, cells in rows.items()]


def _shown(line: Mapping[str, Any], name: str, sign: str) -> str:
    interval = Interval(line[f"{name}_low"], line[f"{name}_high"], "")
    return with_bounds(line[name], interval, sign)
