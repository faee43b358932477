"""What was judged on other images, from stored rows of phases `external` and `corrupted` alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.core.text import encoder_label, task_label
from lmd_bench.data.corruptions import CORRUPTIONS, STRENGTHS
from lmd_bench.experiments.evaluation.corruption_answer import Place, corruption_answer
from lmd_bench.experiments.evaluation.external_answer import external_answer
from lmd_bench.experiments.evaluation.runs import by_config
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.store.store import Store

CORRUPTED = "corrupted test images"
_DRAWS = re.compile(r"-draws-(\d+)-of-")  # in the name of a study of corrupted images


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Models of one task on one set of other images."""

    task: str  # that the models were trained and confirmed on
    images: str  # what they were shown
    keys: tuple[str, ...]  # of the runs
    answer: Answer | None  # as `evaluate` gives it
    missing: str = ""  # why there is no answer


def stored_evaluations(store: Store, rows: Sequence[Row]) -> list[Evaluation]:
    """Return all that `evaluate` has left in a results folder, data sets before corruptions.

    Args:
        store: Of the rows, where their logits lie.
        rows: Of all phases; runs that are not among them are left out.
    """
    runs = {row["key"]: row for row in rows if row["status"] == "ok"}
    return [*_external(store, runs), *_sweeps(store, runs)]


def _external(store: Store, runs: Mapping[str, Row]) -> list[Evaluation]:
    groups: dict[tuple[str, str], dict[str, Row]] = {}
    for row in runs.values():
        if row["phase"] == "external" and row["source_key"] in runs:
            own = runs[row["source_key"]]["task_fingerprint"]
            groups.setdefault((own, row["task_fingerprint"]), {})[row["source_key"]] = row
    found: list[Evaluation] = []
    for by_run in groups.values():
        judged = [runs[key] for key in by_run]
        images = str(by_run[judged[0]["key"]]["dataset"])
        try:
            answer = external_answer(store, by_config(judged), by_run)
        except UserError as error:  # damaged logits
            found.append(_evaluation(judged, images, missing=str(error)))
            continue
        found.append(_evaluation(judged, images, answer))
    return found


def _sweeps(store: Store, runs: Mapping[str, Row]) -> list[Evaluation]:
    groups: dict[tuple[str, str], dict[Place, dict[str, Row]]] = {}
    for row in runs.values():
        drawn = _DRAWS.search(row["study"])
        if row["phase"] == "corrupted" and row["source_key"] in runs and drawn is not None:
            group = groups.setdefault((row["task_fingerprint"], drawn[1]), {})
            group.setdefault((row["corruption"], row["strength"]), {})[row["source_key"]] = row
    places = [(kind, strength) for kind in CORRUPTIONS for strength in STRENGTHS]
    found: list[Evaluation] = []
    for by_place in groups.values():
        # A sweep that was cut off has no means over its corruptions.
        complete = set[str].intersection(*(set(by_place.get(place, ())) for place in places))
        judged = [row for key, row in runs.items() if key in complete]
        if not judged:
            continue
        try:
            ordered = {place: by_place[place] for place in places}
            answer = corruption_answer(store, by_config(judged), ordered)
        except UserError as error:  # logits that are damaged, or were not kept
            found.append(_evaluation(judged, CORRUPTED, missing=str(error)))
            continue
        found.append(_evaluation(judged, CORRUPTED, answer))
    return found


def _evaluation(
    judged: Sequence[Row], images: str, answer: Answer | None = None, missing: str = ""
) -> Evaluation:
    keys = tuple(str(row["key"]) for row in judged)
    task = " · ".join(filter(None, (task_label(judged[0]), encoder_label(judged[0]))))
    return Evaluation(task, images, keys, answer, missing)
