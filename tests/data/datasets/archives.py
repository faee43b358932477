"""Small archives of images: tar shards, and data sets as the package `datasets` saves them."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def picture(value: int, kind: str = "PNG") -> bytes:
    """Return an image file of one grey."""
    stream = io.BytesIO()
    Image.new("RGB", (12, 9), (value, value, value)).save(stream, kind)
    return stream.getvalue()


def write_tar(file: Path, members: Mapping[str, bytes | str]) -> Path:
    """Write a shard of these members, making its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            content = content.encode() if isinstance(content, str) else content
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return file


def samples(classes: Sequence[str], n: int, start: int = 0) -> dict[str, bytes | str]:
    """Return the members of n samples a class: an image of a grey of its class, and a `.cls`."""
    members: dict[str, bytes | str] = {}
    for label, name in enumerate(classes):
        for i in range(n):
            key = f"{start + label * n + i:04d}"
            members[f"{key}.png"] = picture(40 + 60 * label + i)
            members[f"{key}.cls"] = name
    return members


def rows(classes: Sequence[object], n: int) -> dict[str, list[Any]]:
    """Return the columns `image` and `label` of n images a class."""
    grey = [40 + 60 * label + i for label in range(len(classes)) for i in range(n)]
    images = [{"bytes": picture(value), "path": f"{value}.png"} for value in grey]
    return {"image": images, "label": [name for name in classes for _ in range(n)]}


def table(columns: Mapping[str, list[Any]], names: Sequence[str] | None = None) -> pa.Table:
    """Return a table with the note of its types that `datasets` leaves in it."""
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if names is not None:
        features["label"] = {"names": list(names), "_type": "ClassLabel"}
    arrays = {
        name: pa.array(values, IMAGE if name == "image" else None)
        for name, values in columns.items()
    }
    said = json.dumps({"info": {"features": features}})
    return pa.table(arrays).replace_schema_metadata({"huggingface": said})


def write_saved(
    folder: Path, columns: Mapping[str, list[Any]], names: Sequence[str] | None = None
) -> None:
    """Write what `Dataset.save_to_disk` does, in two files."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = table(columns, names)
    files: list[dict[str, str]] = []
    for part in range(2):
        file = folder / f"data-{part:05d}-of-00002.arrow"
        size = (len(whole) + 1) // 2
        with pa.ipc.new_stream(str(file), whole.schema) as stream:
            stream.write_table(whole.slice(part * size, size))
        files.append({"filename": file.name})
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))


def write_parquet(
    file: Path, columns: Mapping[str, list[Any]], names: Sequence[str] | None = None
) -> None:
    """Write a file as the Hub has it, in row groups of three images."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(columns, names), file, row_group_size=3)
