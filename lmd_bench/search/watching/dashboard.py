"""Optuna studies rebuilt from the rows of a store, for optuna-dashboard to look at.

They go to a journal file of Optuna's, made anew each time: an SQLite database takes 16 times as
long. It is a picture of the store; the search never reads it.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_file
from lmd_bench.core.plugins import Kind, names
from lmd_bench.core.schema import OF_A_STUDY, Row
from lmd_bench.methods.space import Space, search_space
from lmd_bench.store.store import Store

FILE = "dashboard.journal"
_RANK = "encoder_rank"  # what a calibration study calls the encoder that a trial stands on
_STATES = {"pruned": TrialState.PRUNED}  # the others that have no value failed
_ATTRIBUTES = (
    *("key", "status", "cause", "trial_number", "is_default", "seed", "seconds", "encoder_key"),
    *("val_macro_f1", "val_many_recall", "val_medium_recall", "val_few_recall"),
)


def write_studies(store: Store) -> tuple[Path, int]:
    """Write each study of a store to a journal in its folder, in place of an earlier one.

    Returns:
        the journal, and how many studies it holds.

    Raises:
        UserError: there is no row of a search.
    """
    rows = [row for row in store.rows() if row["phase"] in OF_A_STUDY]
    studies: dict[str, list[Row]] = {}
    for row in rows:
        studies.setdefault(row["study"], []).append(row)
    if not any(row["phase"] == "search" for row in rows):
        raise UserError(
            f"There are no trials of a search in {store.root}; run lmd-bench search first, or name "
            "another folder with --results."
        )
    final = store.root / FILE
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each new study
    with whole_file(final) as temporary:
        storage = JournalStorage(JournalFileBackend(str(temporary)))
        for name, members in studies.items():
            _write_study(storage, name, members)
    return final, len(studies)


def trials_of(rows: Sequence[Row]) -> list[FrozenTrial]:
    """Return the trials of one study, from its rows, in the order of their numbers."""
    searched = [row for row in rows if row["phase"] == "search"]
    params = [_params(row) for row in searched]
    space = common_space(_space(searched), params)
    confirmed: dict[str, list[float]] = {}
    for row in rows:
        if row["phase"] == "confirm" and row["status"] == "ok":
            confirmed.setdefault(row["source_key"], []).append(row["test_balanced_accuracy"])
    return [
        _trial(row, {k: v for k, v in p.items() if k in space}, space, confirmed.get(row["key"]))
        for row, p in sorted(
            zip(searched, params, strict=True), key=lambda pair: pair[0]["trial_number"]
        )
    ]


def common_space(space: Space, params: Sequence[Mapping[str, Any]]) -> Space:
    """Return distributions that hold every value: those of the search space, or wider ones.

    Values lie outside where a person gave other ranges, or fixed a setting; then the distribution
    reaches as far as the values do. What has no distribution is given one of its values.

    Args:
        space: The shipped distributions.
        params: The searched settings of each trial.
    """
    common: Space = {}
    for name in space:
        values = [trial[name] for trial in params if name in trial]
        if values:
            common[name] = _holding(space[name], values)
    ranks = [trial[_RANK] for trial in params if _RANK in trial]
    if ranks:
        common[_RANK] = CategoricalDistribution(sorted(set(ranks)))
    return common


def _holding(shipped: BaseDistribution, values: Sequence[Any]) -> BaseDistribution:
    if isinstance(shipped, CategoricalDistribution):
        others = [value for value in dict.fromkeys(values) if value not in shipped.choices]
        return CategoricalDistribution([*shipped.choices, *others])
    assert isinstance(shipped, FloatDistribution | IntDistribution)
    low, high = min(shipped.low, *values), max(shipped.high, *values)
    if (low, high) == (shipped.low, shipped.high):
        return shipped
    log = shipped.log and low > 0
    if isinstance(shipped, FloatDistribution):
        return FloatDistribution(low, high, log=log)
    return IntDistribution(int(low), int(high), log=log)


def _space(rows: Sequence[Row]) -> Space:
    """Return what the trials of a study searched: of a calibration study, its own settings.

    Those of a plug-in from outside that is not here are left out.
    """
    if not rows:
        return {}
    first = rows[0]
    staged = any(row["encoder_rank"] is not None for row in rows)
    stages: tuple[Kind, ...] = ("calibration",) if staged else ("representation", "calibration")
    here = [first[kind] for kind in stages if first[kind] in names(kind)]
    return search_space(here if staged else ["training", *here])


def _params(row: Row) -> dict[str, Any]:
    rank = {} if row["encoder_rank"] is None else {_RANK: row["encoder_rank"]}
    return {**json.loads(row["config_json"]), **rank}


def _trial(
    row: Row, params: dict[str, Any], space: Space, confirmed: list[float] | None
) -> FrozenTrial:
    value = row["val_balanced_accuracy"]
    finished = row["status"] == "ok" and value is not None and value == value
    attributes = {name: _readable(row[name]) for name in _ATTRIBUTES}
    if confirmed:
        attributes["confirmed_test_balanced_accuracy"] = confirmed
    trial = create_trial(
        state=TrialState.COMPLETE if finished else _STATES.get(row["status"], TrialState.FAIL),
        value=value if finished else None,
        params=params,
        distributions={name: space[name] for name in params},
        user_attrs=attributes,
        intermediate_values=_curve(row),
    )
    trial.datetime_start = _local(row["started_at"])
    trial.datetime_complete = _local(row["finished_at"])
    return trial


def _readable(value: Any) -> Any:
    """Return a value that a browser can read: JSON has no NaN."""
    return "undefined" if value != value else value


def _curve(row: Row) -> dict[int, float]:
    """Return val balanced accuracy by epoch, counted on through both stages."""
    return {step: point["val_balanced_accuracy"] for step, point in enumerate(row["curve"], 1)}


def _local(text: str) -> datetime:
    """Return a time of a row as Optuna keeps it: without a zone, local."""
    return datetime.fromisoformat(text).astimezone().replace(tzinfo=None)


def _write_study(storage: JournalStorage, name: str, rows: Sequence[Row]) -> None:
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    study.set_user_attr("objective", "val_balanced_accuracy")
    for attribute in ("method", "dataset", "task_fingerprint", "n_epochs"):
        study.set_user_attr(attribute, rows[0][attribute])
    study.add_trials(trials_of(rows))
