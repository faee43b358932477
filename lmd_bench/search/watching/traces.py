"""What a search leaves for those who watch it: its plan, and a sign of life of each trial.

`searches/<name>.json` names the studies of a search, how many rows each is to have, what is drawn
in it from which range, and the configs that it tries first.
`searches/<name>.yaml` holds the options that ask for it again, for `--config`.
`running/<key>.json` is the last epoch of a trial; it is gone once its row is there. Both are for
people: no search reads them, and a results folder without them is complete.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmd_bench.core.files import whole_file
from lmd_bench.core.schema import Config, Progress, content_hash

SECONDS = 1.0  # between two signs of life; calibration epochs take milliseconds


@dataclass(frozen=True)
class PlannedStudy:
    """One study as its search expects it."""

    id: str
    method: str
    task: str
    trials: int  # at most
    confirmations: int  # at most
    space: Mapping[str, Any] = field(default_factory=dict[str, Any])  # key -> Optuna's distribution
    points: Sequence[Config] = ()  # right after the default: a person's, warm start's, portfolio's


@dataclass(frozen=True)
class SearchTrace:
    """One search: what it runs and where it was started."""

    command: str
    started_at: float  # Unix time
    n_slots: int
    studies: tuple[PlannedStudy, ...]
    out_of_use: tuple[str, ...] = ()  # GPUs and nodes that failed in a row, each with the cause


@dataclass(frozen=True)
class Sign:
    """The last that was heard of a running trial."""

    key: str
    study: str
    name: str
    at: float  # Unix time
    stage: str = ""
    epoch: int = 0
    n_epochs: int = 0
    loss: float | None = None
    val_balanced_accuracy: float | None = None


class Heartbeat:
    """Writes the sign of life of one trial; a disk that refuses it does not end the trial."""

    def __init__(self, results: Path, key: str, study: str, name: str) -> None:
        """Say that the trial has begun."""
        self._path = results / "running" / f"{key}.json"
        self._known = {"key": key, "study": study, "name": name}
        self._last = float("-inf")
        self._write({})

    def __call__(self, progress: Progress) -> None:
        """Say which epoch is over, at most once in `SECONDS`."""
        if time.monotonic() - self._last >= SECONDS:
            self._write(asdict(progress))

    def waits(self) -> None:
        """Say that the trial waits for what another one trains."""
        self._write({"stage": "waiting"})

    def close(self) -> None:
        """Say that the trial is over."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self, heard: dict[str, Any]) -> None:
        self._last = time.monotonic()
        with suppress(OSError):
            _write(self._path, {**self._known, **heard, "at": time.time()})


class TrialLog:
    """Appends to `logs/trials/<key>.log`; a disk that refuses it does not end the trial."""

    def __init__(self, results: Path, key: str) -> None:
        """Make the folder; the file comes with the first line."""
        self._path = results / "logs" / "trials" / f"{key}.log"
        self._waiting: list[str] = []
        self._last = float("-inf")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def say(self, text: str) -> None:
        """Write a line, with the time in UTC before it."""
        self._add(text)
        self._write()

    def __call__(self, progress: Progress) -> None:
        """Write an epoch, at most once in `SECONDS`; those in between are written with the next."""
        self._add(
            f"{progress.stage} epoch {progress.epoch}/{progress.n_epochs}: loss "
            f"{progress.loss:.4g}, val balanced accuracy {progress.val_balanced_accuracy:.4f}"
        )
        # A shared disk takes milliseconds to open a file, and so do epochs of a calibration.
        if time.monotonic() - self._last >= SECONDS:
            self._write()

    def ended(self, row: Mapping[str, Any]) -> None:
        """Write how the trial ended."""
        cause = f", {row['cause']}" if row["cause"] else ""
        self.say(f"{row['status']}{cause}, after {row['seconds']:.1f} s")

    def _add(self, text: str) -> None:
        self._waiting.append(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")

    def _write(self) -> None:
        self._last = time.monotonic()
        with suppress(OSError), self._path.open("a") as file:
            file.writelines(self._waiting)
            self._waiting.clear()


def write_search(results: Path, trace: SearchTrace, options: str = "") -> None:
    """Store the plan of a search, over that of an earlier start of the same one.

    Args:
        results: Folder of the results.
        trace: The plan.
        options: The file that asks for the search again; nothing where no file can.
    """
    name = content_hash([study.id for study in trace.studies])
    _write(results / "searches" / f"{name}.json", asdict(trace))
    if options:
        with whole_file(results / "searches" / f"{name}.yaml", sync=False) as temporary:
            temporary.write_text(options, encoding="utf-8")


def read_searches(results: Path) -> list[SearchTrace]:
    """Return the plans of all searches in a folder, the latest last; unreadable ones are left."""
    traces: list[SearchTrace] = []
    for data in _read_all(results / "searches"):
        try:
            studies = tuple(_planned(study) for study in data.pop("studies"))
            out = tuple(data.pop("out_of_use", ()))
            traces.append(SearchTrace(**data, studies=studies, out_of_use=out))
        except (TypeError, KeyError):  # of another version
            continue
    return sorted(traces, key=lambda trace: trace.started_at)


def read_signs(results: Path) -> list[Sign]:
    """Return what was last heard of each trial that has left no row yet."""
    signs: list[Sign] = []
    for data in _read_all(results / "running"):
        try:
            signs.append(Sign(**data))
        except TypeError:
            continue
    return sorted(signs, key=lambda sign: sign.name)


def _planned(data: dict[str, Any]) -> PlannedStudy:
    return PlannedStudy(**data | {"points": tuple(data.get("points", ()))})


def _write(path: Path, data: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Once a second for each trial, and for people alone: not worth a wait for the disk.
    with whole_file(path, sync=False) as temporary:
        temporary.write_text(json.dumps(data))


def _read_all(folder: Path) -> Sequence[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    for path in sorted(folder.glob("[!.]*.json")):
        try:
            contents.append(json.loads(path.read_text()))
        except (OSError, ValueError):  # just finished, or cut off
            continue
    return contents
