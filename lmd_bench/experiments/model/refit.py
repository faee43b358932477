"""The configuration of a run, trained on train and val: the model to use, of unknown quality."""

from collections.abc import Mapping
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, OnEpoch, Row, TrialSpec, no_report
from lmd_bench.data.build import OnImages, check_tasks
from lmd_bench.experiments.confirm import checked_spec
from lmd_bench.experiments.model.predict import FinalModel, final_model
from lmd_bench.methods.settings import swept_settings
from lmd_bench.store.models import REFIT
from lmd_bench.store.rows import context_of
from lmd_bench.store.store import Store
from lmd_bench.training.kept import read_facts
from lmd_bench.training.refit import train_on_all


def refit(
    store: Store,
    key: str,
    source: DataSource,
    on_epoch: OnEpoch = no_report,
    on_images: OnImages | None = None,
) -> FinalModel:
    """Return the model of a run's configuration trained on train and val; trained once, then kept.

    Args:
        store: of the results.
        key: of a run, or its beginning.
        source: where the data lie on this machine.
        on_epoch: is told of each epoch.
        on_images: called as images are decoded.

    Raises:
        UserError: no such run, one that failed, other data, or a calibration whose choices on val
            are not known.
    """
    row = store.find(key)
    if read_facts(store.root, row["key"] + REFIT) is None:
        if row["status"] != "ok":
            raise UserError(
                f"The trial {row['key']} failed ({row['cause']}), so its config is not trained."
            )
        spec = checked_spec(row)
        choices = _choices(store, row, spec)
        check_tasks([(spec.task, spec.task_fingerprint)], source, on_images)
        _train(store, row, spec, source, choices, on_epoch)
    return final_model(store, row["key"], refit=True)


def _choices(store: Store, row: Row, spec: TrialSpec) -> Mapping[str, Any]:
    """Return what val decided in a run.

    Raises:
        UserError: its calibration chose something, and the run kept no model that says what.
    """
    facts = read_facts(store.root, row["key"])
    if facts is not None:
        return facts.choices
    if swept_settings(spec.calibration, spec.config) > 1:
        raise UserError(
            f"What {spec.calibration} chose on val in the run {row['key']} was not kept, and "
            "without val it cannot choose again; name a run that kept its model, as "
            "lmd-bench confirm makes them."
        )
    return {}


def _train(
    store: Store,
    row: Row,
    spec: TrialSpec,
    source: DataSource,
    choices: Mapping[str, Any],
    on_epoch: OnEpoch,
) -> None:
    context = context_of(row, store.root, source)
    temperature = row["temperature"]
    assert temperature is not None, f"{row['key']} is ok and has no temperature"
    if not train_on_all(spec, context, choices, temperature, on_epoch):
        raise UserError(
            f"The refit of {row['key']} could not be kept in {store.root}; see the warning above."
        )
