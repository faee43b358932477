"""What a clinic says of its use: how frequent classes are there, and what decisions cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Row
from lmd_bench.core.yaml_text import read_yaml
from lmd_bench.stats.deployment import Costs, Prevalence

DATA, TRAIN, UNIFORM = "data", "train", "uniform"


def prevalence_of(asked: str, task: Row, rows: Sequence[Row]) -> Prevalence:
    """Return the prevalence that is asked for on a task.

    Args:
        asked: `uniform`, `train`, `data`, or a YAML file of class: share.
        task: Any row of the task.
        rows: All rows; those of natural tasks say how frequent classes are in the data.

    Raises:
        UserError: no such file, or nothing that says it.
    """
    names = list(task["class_names"])
    if asked == UNIFORM:
        return np.full(len(names), 1.0 / len(names))
    if asked == TRAIN:
        return _normalised(np.array(task["class_counts"], dtype=np.float64))
    if asked == DATA:
        return _normalised(np.array(_in_the_data(task, rows), dtype=np.float64))
    given = read_yaml(Path(asked), "file of prevalences")
    if not isinstance(given, dict):
        raise UserError(f"{asked} is no mapping; write one class a line, such as `mel: 0.11`.")
    shares = _of_classes(given, names, Path(asked))
    if min(shares) < 0 or sum(shares) <= 0:
        raise UserError(f"The shares in {asked} have to be 0 or more, and one of them above 0.")
    return _normalised(np.array(shares))


def read_costs(path: Path, names: Sequence[str]) -> Costs:
    """Return the cost of each decision (column) for each true class (row).

    Args:
        path: YAML of true class: {decided class: cost}; what is left out costs 1, and what is right
            costs 0.
        names: Of the classes.

    Raises:
        UserError: not such a file, or a class that the task does not have.
    """
    given = read_yaml(path, "file of costs")
    if not isinstance(given, dict):
        raise UserError(f"{path} is no mapping; write `mel: {{nv: 20}}` for each true class.")
    costs = 1.0 - np.eye(len(names))
    for true, decisions in given.items():
        if str(true) not in names:
            raise unknown(f"class in {path}:", str(true), names)
        if not isinstance(decisions, dict):
            raise UserError(f"{path} has no costs for {true}; write `{true}: {{nv: 20}}`.")
        for decided, cost in decisions.items():
            if str(decided) not in names:
                raise unknown(f"class in {path}:", str(decided), names)
            if isinstance(cost, bool) or not isinstance(cost, int | float):
                raise UserError(f"The cost of {decided} for {true} in {path} is no number.")
            costs[list(names).index(str(true)), list(names).index(str(decided))] = float(cost)
    return costs


def _of_classes(given: Mapping[Any, Any], names: Sequence[str], path: Path) -> list[float]:
    found = {str(name): value for name, value in given.items()}
    for name in found:
        if name not in names:
            raise unknown(f"class in {path}:", name, names)
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"{path} says nothing of {', '.join(missing)}; add a share, 0 if none.")
    bad = [n for n, v in found.items() if isinstance(v, bool) or not isinstance(v, int | float)]
    if bad:
        raise UserError(f"The share of {bad[0]} in {path} is no number; write such as 0.11.")
    return [float(found[name]) for name in names]


def _in_the_data(task: Row, rows: Sequence[Row]) -> Sequence[int]:
    same = [row for row in rows if row["dataset"] == task["dataset"] and row["class_counts"]]
    for row in same:
        if row["imbalance_factor"] is None and row["n_max"] is None:
            return row["class_counts"]
    raise UserError(
        f"No row here is of {task['dataset']} as it is (without an imbalance factor and n_max), so "
        "nothing says how frequent its classes are; give a file of class: share in place of data."
    )


def _normalised(counts: Float[np.ndarray, " classes"]) -> Prevalence:
    return counts / counts.sum()
