"""Named rules that pick one configuration of a study. They see validation only."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from lmd_bench.metrics import METRICS

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SelectionRule:
    """A named rule: the search row with the highest score is selected."""

    name: str
    description: str
    function: Callable[[Row], float | None]  # score of an `ok` row; higher is better
    columns: tuple[str, ...]  # that the function reads


def _val_balanced_accuracy(row: Row) -> float | None:
    assert METRICS["balanced_accuracy"].higher_is_better
    return row["val_balanced_accuracy"]


VAL_BALANCED_ACCURACY = SelectionRule(
    "val_balanced_accuracy",
    "highest balanced accuracy on val at the best epoch; of equals, the earliest trial",
    _val_balanced_accuracy,
    columns=("val_balanced_accuracy",),
)
RULES = {rule.name: rule for rule in (VAL_BALANCED_ACCURACY,)}


def best_row(rows: Iterable[Row], rule: SelectionRule = VAL_BALANCED_ACCURACY) -> Row | None:
    """Return the selected row of one study; None if no search trial ended well.

    Only search rows of status `ok` with a defined score can be selected. Of equal scores the lowest
    trial number wins, so that the answer does not depend on the order of the rows.
    """
    scored = [
        (score, row)
        for row in rows
        if row["phase"] == "search" and row["status"] == "ok"
        if (score := rule.function(row)) is not None and not isnan(score)
    ]
    if not scored:
        return None
    return min(scored, key=lambda pair: (-pair[0], pair[1]["trial_number"], pair[1]["key"]))[1]
