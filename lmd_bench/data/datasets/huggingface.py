"""A Hugging Face data set on disk: what `save_to_disk` wrote, or the Parquet files of a download.

`Dataset.save_to_disk` writes Arrow files, which `state.json` lists; a `DatasetDict` has a folder of
such for each split. The Hub keeps Parquet files, `data/train-00000-of-00001.parquet`. Both hold a
column of images, of which each row is the bytes of an image file, and say in their schema which
column is of images and what the numbers of a class stand for.

They are read by pyarrow, which every installation has. So there is no loading script that could
run, no network, and no cache of another package. An image is known by its split and its row.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets._archived import Archived, Sample, field_split
from lmd_bench.data.table import DatasetCard

if TYPE_CHECKING:
    import pyarrow as pa

_STATE = "state.json"
_ARROW, _PARQUET = ".arrow", ".parquet"
_FILE_MAGIC = b"ARROW1"


@dataclass(frozen=True)
class _Schema:
    """The columns of a file, and what it says of them."""

    columns: tuple[str, ...]
    images: tuple[str, ...]  # columns of images
    class_names: Mapping[str, list[str]]  # of columns of classes


class HuggingFace(Archived):
    """The images in a person's data set of Hugging Face."""

    card = DatasetCard(
        name="huggingface",
        title="Your own images: a Hugging Face data set on disk (save_to_disk, or Parquet files)",
        class_names=(),
        licence="that of your images",
        citation="the source of your images",
        url="https://huggingface.co/docs/datasets",
        how_to_get=(
            "Name a folder that Dataset.save_to_disk wrote, or one of Parquet files of the Hub; "
            "it needs a column of images and a column of classes."
        ),
        group="group",
        splits="those of its folders or files, or of --split-column",
    )

    def __init__(self) -> None:
        """Read nothing yet."""
        super().__init__()
        self._reads = threading.Lock()
        self._image_column = ""

    def archives(self, root: Path) -> list[Path]:
        """Return the Arrow or Parquet files below the folder, at any depth, sorted by path."""
        states = sorted(root.rglob(_STATE))
        # Without a list they are what the package keeps of a data set that it loaded once.
        arrow = [file for state in states for file in _listed(state)] or _below(root, _ARROW)
        parquet = _below(root, _PARQUET)
        if arrow and parquet:
            raise UserError(
                f"{root} holds Arrow files, as save_to_disk writes them, and Parquet files, first "
                f"{parquet[0].relative_to(root)}; keep one kind, as both may be of the same images."
            )
        if not arrow and not parquet:
            raise UserError(f"{root} holds no data set of Hugging Face. {self.card.how_to_get}")
        return arrow or parquet

    def samples(self, root: Path) -> Iterator[Sample]:
        """Yield the images of all files."""
        archives = self.archives(root)
        split_of = self.splits(root, archives)
        first = _schema(archives[0])
        self._image_column = self._images(archives[0], first)
        there = [name for name in first.columns if name not in first.images]
        # A column that names its classes is what says the class, whatever it is called.
        only = next(iter(first.class_names), "") if len(first.class_names) == 1 else ""
        fields = self.choose(there, archives[0], only)
        wanted = [name for name in (fields.label, fields.group, fields.split) if name]
        rows_before: dict[str, int] = {}
        for archive in archives:
            schema = _schema(archive)
            absent = {self._image_column, *wanted} - {*schema.columns}
            if absent:
                raise UserError(
                    f"{archive} lacks the column {', '.join(sorted(absent))}, which {archives[0]} "
                    "has; keep files of one data set in the folder."
                )
            names = schema.class_names.get(fields.label)
            kind = split_of[archive] or "row"
            values = _values(archive, wanted)
            for at, row in _places(archive):
                image_id = f"{kind}-{rows_before.get(kind, 0):06d}"
                rows_before[kind] = rows_before.get(kind, 0) + 1
                label = values[fields.label][row]
                split = split_of[archive]
                if fields.split is not None:
                    split = field_split(values[fields.split][row], f"{archive}, row {row}")
                yield self.sample(
                    image_id,
                    archive,
                    at,
                    label=label if names is None else _named(label, names),
                    group=values[fields.group][row] if fields.group else None,
                    split=split,
                )

    def content_at(self, sample: Sample) -> bytes | None:
        """Return the bytes of an image."""
        part, row = sample.at
        # One at a time, so that no part of a file is read twice at once.
        with self._reads:
            images = _images_of(sample.archive, self._image_column, part)
        image = images[row].as_py()
        return image["bytes"] if isinstance(image, dict) else image

    def _images(self, archive: Path, schema: _Schema) -> str:
        asked = self.columns.image_column if self.columns else ""
        if asked in schema.images:
            return asked
        if asked or len(schema.images) != 1:
            which = ", ".join(schema.images) or "none"
            raise UserError(
                f"{archive} has the columns {', '.join(schema.columns)}, and those of images are "
                f"{which}; name one of them with --image-column."
            )
        return schema.images[0]


def _below(root: Path, ending: str) -> list[Path]:
    return sorted(
        file
        for file in root.rglob(f"*{ending}")
        if not any(part.startswith((".", "cache-")) for part in file.relative_to(root).parts)
    )


def _listed(state: Path) -> list[Path]:
    """Return the Arrow files that a `state.json` lists; others may be left of an earlier save."""
    try:
        content = json.loads(state.read_text("utf-8"))
        names = [entry["filename"] for entry in content["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(state, f"{type(error).__name__}: {error}") from error
    if content.get("_indices_data_files"):
        raise UserError(
            f"{state} lists rows that were picked from others, as early versions of the package "
            "`datasets` wrote them; open the data set with it, and save it again."
        )
    files = [state.parent / Path(str(name)).name for name in names]
    absent = next((file for file in files if not file.is_file()), None)
    if absent is not None:
        raise UserError(f"{absent}, which {state} lists, is not there; copy the whole folder.")
    return files


def _schema(archive: Path) -> _Schema:
    """Return the columns of a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _Readable(archive):
        is_arrow = archive.suffix == _ARROW
        schema = _mapped(archive).schema if is_arrow else pq.read_schema(archive)
        said: Any = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    try:
        features: dict[str, Any] = said["info"]["features"]
        features = {name: of for name, of in features.items() if isinstance(of, dict)}
    except (KeyError, TypeError, AttributeError):
        features = {}  # written by another package
    images = [name for name, of in features.items() if of.get("_type") == "Image"]
    if not images:
        images = [
            field.name
            for field in schema
            if pa.types.is_binary(field.type)
            or pa.types.is_large_binary(field.type)
            or (pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
        ]
    names = {
        name: [str(label) for label in of["names"]]
        for name, of in features.items()
        if of.get("_type") == "ClassLabel" and of.get("names")
    }
    there = tuple(schema.names)
    return _Schema(there, tuple(n for n in images if n in there), names)


def _values(archive: Path, columns: list[str]) -> dict[str, list[object]]:
    """Return the values of small columns."""
    import pyarrow.parquet as pq

    with _Readable(archive):
        if archive.suffix == _ARROW:
            table = _mapped(archive).select(columns)
        else:
            with pq.ParquetFile(archive) as file:
                table = file.read(columns=columns)
        return {name: table[name].to_pylist() for name in columns}


def _places(archive: Path) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield the part of a file and the row in it, and the row in the file, of each image."""
    import pyarrow.parquet as pq

    with _Readable(archive):
        if archive.suffix == _ARROW:
            sizes = [_mapped(archive).num_rows]
        else:
            about = pq.read_metadata(archive)
            sizes = [about.row_group(part).num_rows for part in range(about.num_row_groups)]
    row = 0
    for part, size in enumerate(sizes):
        for within in range(size):
            yield (part, within), row
            row += 1


def _images_of(archive: Path, column: str, part: int) -> "pa.ChunkedArray":
    """Return the images of a part of a file: all of an Arrow file, a row group of a Parquet one."""
    if archive.suffix == _ARROW:
        return _mapped(archive)[column]
    status = archive.stat()
    return _row_group(archive, column, part, status.st_size, status.st_mtime_ns)


# Images are decoded nearly in order, so threads are seldom in more than two parts.
@lru_cache(2)
def _row_group(
    archive: Path, column: str, part: int, size: int, mtime_ns: int
) -> "pa.ChunkedArray":
    import pyarrow.parquet as pq

    with _Readable(archive), pq.ParquetFile(archive) as file:
        return file.read_row_group(part, columns=[column])[column]


def _mapped(archive: Path) -> "pa.Table":
    """Return the table of an Arrow file, whose values stay on the disk until they are read."""
    status = archive.stat()
    return _map(archive, status.st_size, status.st_mtime_ns)


@lru_cache(2**10)
def _map(archive: Path, size: int, mtime_ns: int) -> "pa.Table":
    import pyarrow as pa

    with _Readable(archive):
        stream = pa.memory_map(str(archive))
        # Other packages write the other kind of Arrow file, which says so.
        is_file = stream.read_at(len(_FILE_MAGIC), 0) == _FILE_MAGIC
        return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(stream).read_all()


class _Readable:
    """Says which file is damaged, for what pyarrow raises within."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        import pyarrow as pa

        if isinstance(error, pa.ArrowException | OSError | ValueError):
            raise _unreadable(self._file, str(error)) from error


def _unreadable(file: Path, reason: str) -> UserError:
    return UserError(
        f"{file} cannot be read ({' '.join(reason.split())}); copy the whole of it, or save the "
        "data set again."
    )


def _named(label: object, names: list[str]) -> object:
    """Return the name of a class; -1, which says that there is none, becomes nothing."""
    if isinstance(label, int) and 0 <= label < len(names):
        return names[label]
    return None if isinstance(label, int) else label
