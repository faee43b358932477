"""Tables written for others to read, and read back: two Parquet files and a JSON.

They hold scores, costs and settings. No image ids, logits, command lines, paths or causes of
failures are in them.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_folder
from lmd_bench.core.schema import canonical_json
from lmd_bench.data.datasets import load
from lmd_bench.experiments.simulation.format import (
    CONFIG_COLUMNS,
    CONFIGS,
    CURVE_COLUMNS,
    CURVES,
    MEANINGS,
    NAME,
    OBJECTIVE,
    SPACE,
    VERSION,
    space_from_json,
    space_to_json,
)
from lmd_bench.experiments.simulation.table import StoredTrial, StudyTable
from lmd_bench.store.provenance import package_version
from lmd_bench.store.row_files import read_table

_OF_STUDY = ("study", "task", "dataset", "method", "representation", "calibration")
_NO_CARD = "unknown to lmd-bench; ask whoever holds the images"


def write_tables(
    tables: Sequence[StudyTable], rows: Iterable[Mapping[str, Any]], folder: Path
) -> None:
    """Write tables to a new folder, whole or not at all.

    Args:
        tables: Of a results folder.
        rows: Of the same folder: what made them is said of these.
        folder: Must not exist, or be empty.

    Raises:
        UserError: there is something there, or it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already; name a new folder with --export.")
    final = folder.resolve()
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(final) as temporary:
            pq.write_table(_configs(tables), temporary / CONFIGS, write_page_checksum=True)
            pq.write_table(_curves(tables), temporary / CURVES, write_page_checksum=True)
            text = json.dumps(_header(tables, list(rows)), indent=2, ensure_ascii=False)
            (temporary / SPACE).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror or error}).") from error


def read_tables(folder: Path) -> list[StudyTable]:
    """Return the tables that `write_tables` wrote, equal to those it was given.

    Raises:
        UserError: no such export there, one of another version, or a damaged one.
    """
    path = folder / SPACE
    if not path.is_file():
        raise UserError(
            f"There is no exported table in {folder}; write one with lmd-bench simulate --export."
        )
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        name, version = header["format"], header["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    if (name, version) != (NAME, VERSION):
        raise UserError(
            f"{path} is of format {name!r}, version {version}; this lmd-bench reads {NAME!r}, "
            f"version {VERSION}."
        )
    configs = _by_study(folder / CONFIGS, CONFIG_COLUMNS)
    curves = _by_study(folder / CURVES, CURVE_COLUMNS)
    try:
        return [_table(study, configs, curves) for study in header["studies"]]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error


def _configs(tables: Sequence[StudyTable]) -> pa.Table:
    lines = [
        {
            "study": table.study,
            "key": trial.key,
            "trial_number": trial.number,
            "status": trial.status,
            "is_default": trial.is_default,
            "config_json": canonical_json(dict(trial.config)),
            "encoder": trial.encoder,
            "encoder_rank": trial.encoder_rank,
            "encoder_score": trial.encoder_score,
            OBJECTIVE: trial.value,
            "seconds": trial.seconds,
            "alone_seconds": trial.alone_seconds,
            "deferral": trial.deferral,
            "test_balanced_accuracy": trial.test,
            "n_confirmed": trial.n_confirmed,
        }
        for table in tables
        for trial in table.trials
    ]
    return pa.Table.from_pylist(lines, CONFIG_COLUMNS)


def _curves(tables: Sequence[StudyTable]) -> pa.Table:
    lines = [
        {"study": table.study, "key": trial.key, "epoch": epoch, OBJECTIVE: value}
        for table in tables
        for trial in table.trials
        for epoch, value in enumerate(trial.curve, start=1)
    ]
    return pa.Table.from_pylist(lines, CURVE_COLUMNS)


def _header(tables: Sequence[StudyTable], rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    def all_of(name: str) -> list[str]:
        return sorted({str(row[name]) for row in rows if row[name] is not None})

    return {
        "format": NAME,
        "version": VERSION,
        "files": MEANINGS,
        "objective": {"name": OBJECTIVE, "goal": "maximise", "unit": "fraction, 0 to 1"},
        "fidelity": {"name": "epoch", "unit": "epochs of stage 1", "highest": "n_epochs"},
        "cost": {"name": "alone_seconds", "of_staged_studies": "seconds", "unit": "seconds"},
        "seeds": "one training seed for all trials of a study; fresh ones for test",
        "licence": {
            "note": "Scores and settings alone; the licence of the images they were made on:",
            **{name: _licence(name) for name in sorted({table.dataset for table in tables})},
        },
        "provenance": {
            "written_by": f"lmd-bench {package_version()}",
            "rows": len(rows),
            "measured_by": [f"lmd-bench {version}" for version in all_of("package_version")],
            "commits": all_of("git_commit"),
            "devices": all_of("device"),
            "threads": all_of("n_threads"),
        },
        "studies": [
            {name: getattr(table, name) for name in _OF_STUDY}
            | {"n_epochs": table.n_epochs, "staged": table.staged}
            | {"space": space_to_json(table.space)}
            for table in tables
        ],
    }


def _licence(dataset: str) -> str:
    try:
        return load(dataset).card.licence
    except UserError:
        return _NO_CARD


def _by_study(path: Path, schema: pa.Schema) -> dict[str, list[dict[str, Any]]]:
    table = read_table(path)
    if table is None or not table.schema.equals(schema):
        raise _damaged(path)
    of_study: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in table.to_pylist():
        of_study[line["study"]].append(line)
    return of_study


def _table(
    study: dict[str, Any],
    configs: Mapping[str, list[dict[str, Any]]],
    curves: Mapping[str, list[dict[str, Any]]],
) -> StudyTable:
    points: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for line in curves.get(study["study"], ()):
        points[line["key"]].append((line["epoch"], line[OBJECTIVE]))
    return StudyTable(
        **{name: study[name] for name in _OF_STUDY},
        n_epochs=study["n_epochs"],
        staged=study["staged"],
        space=space_from_json(study["space"]),
        trials=tuple(
            _trial(line, tuple(value for _, value in sorted(points[line["key"]])))
            for line in configs[study["study"]]
        ),
    )


def _trial(line: Mapping[str, Any], curve: tuple[float, ...]) -> StoredTrial:
    return StoredTrial(
        key=line["key"],
        number=line["trial_number"],
        status=line["status"],
        is_default=line["is_default"],
        config=json.loads(line["config_json"]),
        encoder=line["encoder"],
        encoder_rank=line["encoder_rank"],
        encoder_score=line["encoder_score"],
        curve=curve,
        value=line[OBJECTIVE],
        seconds=line["seconds"],
        alone_seconds=line["alone_seconds"],
        deferral=line["deferral"],
        test=line["test_balanced_accuracy"],
        n_confirmed=line["n_confirmed"],
    )


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged, or not what lmd-bench wrote there; export it again.")
