"""What an ablation leaves in its results folder beside the rows: what its cells stand for.

`ablations/<name>.json` holds the design and the study of each cell on each task, so that tables are
drawn again from the rows without the ablation's file and without training.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.files import asked_file
from lmd_bench.core.schema import Scalar, content_hash
from lmd_bench.experiments.ablation.factorial import Levels
from lmd_bench.store.store import FOLDER

VERSION = 1  # of the file; another one is not read


@dataclass(frozen=True)
class CellRecord:
    """One cell: its name, its stages, and where its config differs from the reference's."""

    name: str
    title: str
    representation: str
    calibration: str
    changes: Mapping[str, Scalar]


@dataclass(frozen=True)
class PointRecord:
    """One combination of toggles, and the cell that it is."""

    levels: Levels
    cell: str


@dataclass(frozen=True)
class TaskRecord:
    """The studies of one task."""

    label: str  # as leaderboards call the task
    studies: Mapping[str, str]  # cell -> study id
    stands_on: Mapping[str, str]  # cell -> id of the study that trains its stage 1, if another


@dataclass(frozen=True)
class AblationRecord:
    """One ablation as it was asked for."""

    name: str
    title: str
    mode: str
    retune: int
    reference: str
    n_epochs: int
    n_seeds: int
    seed: int
    command: str
    started_at: float  # Unix time
    toggles: tuple[tuple[str, str], ...]  # name and title, in the order of the levels
    cells: tuple[CellRecord, ...]
    points: tuple[PointRecord, ...]
    generators: tuple[int, ...]
    words: tuple[int, ...]
    resolution: int | None
    tasks: tuple[TaskRecord, ...]

    @property
    def identity(self) -> str:
        """Return what is equal for two starts of the same ablation."""
        studies = [sorted(task.studies.values()) for task in self.tasks]
        return content_hash([self.name, self.mode, self.retune, studies])


def write_record(results: Path, record: AblationRecord) -> Path:
    """Store the record, over that of an earlier start of the same ablation.

    Raises:
        UserError: the folder cannot be written.
    """
    path = results / FOLDER / f"{record.name}-{record.mode}-{record.identity[:8]}.json"
    text = json.dumps({"version": VERSION, **asdict(record)}, indent=1, ensure_ascii=False)
    with asked_file(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
    return path


def read_records(results: Path, name: str | None = None) -> list[AblationRecord]:
    """Return the ablations of a results folder, the latest last; all, or those of one name.

    Raises:
        UserError: there is none, none of this name, or a file that cannot be read.
    """
    paths = sorted((results / FOLDER).glob("[!.]*.json"))
    records = sorted((_read(path) for path in paths), key=lambda record: record.started_at)
    if not records:
        raise UserError(
            f"There is no ablation in {results}; run lmd-bench ablate first, or name another "
            "folder with --results."
        )
    names = {record.name for record in records}
    if name is not None and name not in names:
        raise unknown("ablation in these results", name, names)
    return [record for record in records if name in (None, record.name)]


def _read(path: Path) -> AblationRecord:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("version") != VERSION:
            raise ValueError("it is of another version")
        data["toggles"] = tuple((name, title) for name, title in data["toggles"])
        data["cells"] = tuple(CellRecord(**cell) for cell in data["cells"])
        data["points"] = tuple(
            PointRecord(tuple(point["levels"]), point["cell"]) for point in data["points"]
        )
        data["tasks"] = tuple(TaskRecord(**task) for task in data["tasks"])
        for key in ("generators", "words"):
            data[key] = tuple(data[key])
        return AblationRecord(**data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no ablation that this version can read ({error}); run the ablation again, "
            "which trains nothing that is stored, or remove the file."
        ) from error
