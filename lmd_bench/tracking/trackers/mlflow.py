"""MLflow: a run for each row, in one experiment, on a server or in local files.

URL: https://mlflow.org/docs/latest/ml/tracking/
The URI is what MLflow calls a tracking URI: `http://HOST:5000`, `sqlite:///runs.db`, or a folder
(MLflow's file store). The experiment is `$MLFLOW_EXPERIMENT_NAME`, or lmd-bench.
"""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lmd_bench.tracking.entry import Entry
from lmd_bench.tracking.trackers._base import PROJECT, Tracker

KEY, STAMP = "lmd_bench.key", "lmd_bench.finished_at"  # tags
_WHOLE = ("FINISHED", "FAILED")
_PAGE = 1000  # runs that are asked for at once
_PARAMS, _METRICS = 100, 1000  # that a server takes at once
_LONGEST = 5000  # characters of a tag


class MLflow(Tracker):
    """Runs of one experiment, found by a tag that holds the key."""

    package: ClassVar[str] = "mlflow"
    environment: ClassVar[Mapping[str, str]] = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        # Later versions take a folder as a URI only so.
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }

    @staticmethod
    def default(results: Path) -> str:
        """Return what the environment names, or a database in the results."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{results / 'mlflow.db'}"

    def __init__(self, uri: str) -> None:
        """Open the experiment, which is made if it is not there."""
        from mlflow import MlflowClient

        # A folder as people write it; MLflow makes files beside the working folder of others.
        place = uri if ":" in uri else Path(uri).expanduser().resolve().as_uri()
        self._client = MlflowClient(tracking_uri=place)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        experiment = self._client.get_experiment_by_name(name)
        self._experiment = (
            self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        )
        self._runs: dict[str, list[str]] = defaultdict(list)  # key -> runs of it

    def stamps(self) -> Mapping[str, str]:
        """Return the stamps of the runs that have ended; one that was cut off is still running."""
        self._runs.clear()
        stamps: dict[str, str] = {}
        page: Any = None
        while page is None or page:
            runs = self._client.search_runs(
                [self._experiment], max_results=_PAGE, page_token=page or None
            )
            for run in runs:
                if (key := run.data.tags.get(KEY)) is not None:
                    self._runs[key].append(run.info.run_id)
                    if run.info.status in _WHOLE:
                        stamps[key] = run.data.tags.get(STAMP, "")
            page = runs.token or ""
        return stamps

    def send(self, entry: Entry) -> None:
        """Make a run that ends when all of it is there."""
        from mlflow.entities import Metric, Param

        for run_id in self._runs.pop(entry.key, []):
            self._client.delete_run(run_id)
        facts = {name: text[:_LONGEST] for name, text in entry.facts.items()}
        run = self._client.create_run(
            self._experiment,
            start_time=round(1000 * entry.started),
            run_name=entry.title,
            tags={**facts, KEY: entry.key, STAMP: entry.stamp},
        )
        run_id, at = run.info.run_id, round(1000 * entry.ended)
        self._runs[entry.key].append(run_id)
        params = [Param(name, str(value)) for name, value in entry.settings.items()]
        metrics = [Metric(name, value, at, 0) for name, value in entry.scores.items()]
        for name, points in entry.curves.items():
            metrics += [Metric(name, value, at, epoch) for epoch, value in points]
        for start in range(0, len(params), _PARAMS):
            self._client.log_batch(run_id, params=params[start : start + _PARAMS])
        for start in range(0, len(metrics), _METRICS):
            self._client.log_batch(run_id, metrics=metrics[start : start + _METRICS])
        self._client.set_terminated(run_id, "FINISHED" if entry.went_well else "FAILED", at)
