"""The confirmed runs whose models are judged on other images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.store.store import Store


@dataclass(frozen=True, eq=False)
class Runs:
    """The confirmed runs of one configuration."""

    label: str
    rows: Mapping[int, Row]  # seed -> row

    @property
    def first(self) -> Row:
        """Return one of them: task and classes are the same in all."""
        return next(iter(self.rows.values()))


def chosen_runs(store: Store, keys: Sequence[str]) -> list[Runs]:
    """Return the runs that keys name: of a search row all that confirm it, of a run itself.

    Raises:
        UserError: no such row, one without a confirmed run, or runs of several tasks.
    """
    rows = store.rows()
    chosen: list[Row] = []
    for key in keys:
        row = store.find(key)
        runs = [row]
        if row["phase"] == "search":
            runs = [r for r in rows if r["phase"] == "confirm" and r["source_key"] == row["key"]]
        well = [run for run in runs if run["status"] == "ok"]
        if not well:
            raise UserError(
                f"{row['key']} has no confirmed run that ended well; run lmd-bench confirm "
                f"{row['key']}, or name another row."
            )
        chosen += well
    tasks = {run["task_fingerprint"] for run in chosen}
    if len(tasks) > 1:
        raise UserError(
            f"These keys are of runs on {len(tasks)} tasks, and models are compared on the classes "
            "of one; name runs of one task at a time."
        )
    return by_config(chosen)


def by_config(rows: Sequence[Row]) -> list[Runs]:
    """Return runs of one task by their configuration, numbered where a method has several.

    Runs of other lengths, or of other versions of the plug-ins, are of other configurations.
    """
    of_config: dict[tuple[str, ...], dict[int, Row]] = {}
    for run in rows:
        config = (run["method"], run["config_json"], str(run["n_epochs"]), run["versions_json"])
        of_config.setdefault(config, {})[run["seed"]] = run
    names = [method for method, *_ in of_config]
    labels = [
        name if names.count(name) == 1 else f"{name} #{number}"
        for number, name in enumerate(names, start=1)
    ]
    return [Runs(label, runs) for label, runs in zip(labels, of_config.values(), strict=True)]
