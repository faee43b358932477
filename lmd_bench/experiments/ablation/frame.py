"""An ablation's numbers as one data frame: a line for each cell, effect, interaction and share."""

from collections.abc import Sequence
from math import nan
from typing import Any

import pandas as pd

from lmd_bench.experiments.ablation.analysis import Effect, TaskAnalysis
from lmd_bench.experiments.ablation.scores import SCORES, CellScores
from lmd_bench.stats.joint import joint, joint_columns
from lmd_bench.stats.spread import spread

Line = dict[str, Any]
_ABOUT = ("ablation", "mode", "task", "kind", "name", "title", "status", "reason", "aliases")
_COUNTS = ("n_seeds", "n_seeds_failed", "n_trials", "seconds", "standalone_seconds", "p_holm")
_PARTS = tuple(joint_columns(joint((), None, "")))
COLUMNS = (
    *_ABOUT,
    *(f"test_{name}{suffix}" for name in SCORES for suffix in ("", "_sd")),
    *(f"{name}_change{suffix}" for name in SCORES for suffix in ("", *(f"_{p}" for p in _PARTS))),
    *_COUNTS,
    *("share", "reference", "images_over"),
)


def ablation_frame(analyses: Sequence[TaskAnalysis]) -> pd.DataFrame:
    """Return one line per cell and contrast of each task; scores are fractions, intervals 95 %.

    `kind` is cell, main, interaction, shapley or total. Of a cell, `test_*` is its mean over seeds
    and `*_change` its mean less the reference's, on the seeds of both; of the others `*_change` is
    the contrast. `share` is a Shapley value over the total, where the total's interval leaves 0
    out.
    """
    lines = [line for analysis in analyses for line in _lines(analysis)]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _lines(analysis: TaskAnalysis) -> list[Line]:
    about = {
        "ablation": analysis.record.name,
        "mode": analysis.record.mode,
        "task": analysis.task.label,
    }
    about |= {"reference": analysis.record.reference, "images_over": analysis.over}
    changes = {effect.contrast.name: effect for effect in analysis.changes}
    lines = [about | _cell(cell, changes.get(name)) for name, cell in analysis.cells.items()]
    total = next((e for e in analysis.effects if e.contrast.kind == "total"), None)
    return lines + [about | _contrast(effect, total) for effect in analysis.effects]


def _cell(cell: CellScores, change: Effect | None) -> Line:
    line: Line = {"kind": "cell", "name": cell.cell.name, "title": cell.cell.title}
    line |= {"status": cell.status, "reason": cell.cause, "aliases": ""}
    for name in SCORES:
        over_seeds = spread(list(cell.values[name].values()))
        line |= {f"test_{name}": over_seeds.mean, f"test_{name}_sd": over_seeds.sd}
    line |= {"n_seeds": len(cell.seeds), "n_seeds_failed": cell.n_failed}
    line |= {"n_trials": cell.n_trials, "seconds": cell.seconds, "share": nan}
    line["standalone_seconds"] = cell.standalone_seconds
    return line | (_estimates(change) if change else dict.fromkeys(_estimate_names(), nan))


def _contrast(effect: Effect, total: Effect | None) -> Line:
    contrast = effect.contrast
    line: Line = {"kind": contrast.kind, "name": contrast.name, "title": contrast.title}
    line |= {"status": "undefined" if effect.reason else "ok", "reason": effect.reason}
    line |= {"aliases": "; ".join(contrast.aliases), "n_seeds": effect.n_seeds}
    return line | {"share": share(effect, total)} | _estimates(effect)


def share(effect: Effect, total: Effect | None) -> float:
    """Return a Shapley value of balanced accuracy over the total; NaN where that may be 0."""
    if effect.contrast.kind != "shapley" or total is None:
        return nan
    whole = total.primary
    if not (whole.interval.low > 0 or whole.interval.high < 0):
        return nan
    return effect.primary.value / whole.value


def _estimates(effect: Effect) -> Line:
    line: Line = {"p_holm": effect.p_holm}
    for name, estimate in effect.estimates.items():
        line[f"{name}_change"] = estimate.value
        line |= joint_columns(estimate, f"{name}_change_")
    return line


def _estimate_names() -> list[str]:
    ends = ("", *(f"_{part}" for part in _PARTS))
    return ["p_holm", *(f"{name}_change{end}" for name in SCORES for end in ends)]
