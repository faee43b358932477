"""A person's own features (embeddings): a file of ids and vectors in place of images.

People hold embeddings of models that they may not pass on, and may share these where the images
are barred. No image is ever opened. Labels, groups and splits stand in the same file, or in a CSV
as for `folder`, whose image column then holds the ids (endings do not count). See
`_feature_file.py` for what a file may look like.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TableColumns
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.datasets._feature_file import SUFFIXES, FeatureFile, read_feature_file
from lmd_bench.data.datasets._own import (
    listing_files,
    notes_on_table,
    read_listed,
    refuse_twice,
    split_name,
    table_of,
)
from lmd_bench.data.file_names import without_ending
from lmd_bench.data.table import DatasetCard, ImageTable


class Features(Dataset):
    """The vectors of a person's own file; its `root` is that file."""

    card = DatasetCard(
        name="features",
        title="Your own features (embeddings) in a file, in place of images",
        class_names=(),
        licence="that of your data",
        citation="the source of your data",
        url="",
        how_to_get=(
            "Name a file with --features: .npz, .parquet or .safetensors, with ids, features, and "
            "labels, or with the labels in a CSV (--images-csv, --image-column, --label-column)."
        ),
        group="group",
        splits="those of the file, or of --split-column",
        features=True,
    )

    def __init__(self) -> None:
        """Read nothing yet."""
        self._read: tuple[Path, FeatureFile] | None = None

    def describe(self, columns: TableColumns) -> None:
        """Read labels, groups and splits from a CSV, from now on."""
        self.columns = columns
        self.tables = tuple(map(str, listing_files(columns)))

    def check_root(self, root: Path | None) -> Path:
        """Return the file of features.

        Raises:
            UserError: there is none, or none of a known kind.
        """
        if root is None or not root.is_file():
            given = "no file was given" if root is None else f"{root} is no file"
            raise UserError(f"There are no features ({given}). {self.card.how_to_get}")
        if root.suffix.lower() not in SUFFIXES:
            raise UserError(f"{root} must end in {', '.join(SUFFIXES)}. {self.card.how_to_get}")
        return root

    def read(self, root: Path | None) -> ImageTable:
        """Return the images of the CSV in its order; without one, those of the file."""
        file = self.check_root(root)
        if self.columns is not None:
            return read_listed(self.columns)
        content = self._content(root)
        if content.labels is None or not all(content.labels):
            lacks = "no labels" if content.labels is None else "images without a label"
            raise UserError(
                f"{file} has {lacks}; add them as `labels`, or describe a CSV with --images-csv, "
                "--image-column and --label-column."
            )
        splits = None
        if content.splits is not None:
            splits = [split_name(value, str(file)) for value in content.splits]
        groups = content.groups or [""] * len(content.ids)
        return table_of(content.ids, content.labels, groups, splits)

    def files(self, root: Path | None) -> Iterator[os.DirEntry[str]]:
        """Yield the one file."""
        file = self.check_root(root)
        with os.scandir(file.parent) as entries:
            yield from (entry for entry in entries if entry.name == file.name)

    def paths(self, root: Path | None, table: ImageTable) -> tuple[Path | None, ...]:
        """Return the file for each image that has features in it."""
        file, missing = self.check_root(root), self.missing(root, table)
        return tuple(None if absent else file for absent in missing)

    def notes(self, root: Path | None) -> tuple[str, ...]:
        """Return which classes may be one that is written in several ways."""
        return tuple(notes_on_table(self.read(root)))

    def missing(self, root: Path | None, table: ImageTable) -> Bool[np.ndarray, " images"]:
        """Return True for each listed image that has no features."""
        rows = self._row_of(root)
        return np.array([image_id not in rows for image_id in table.image_ids], dtype=np.bool_)

    def stream(self, root: Path | None, size: int) -> Iterator[Float32[np.ndarray, "block width"]]:
        """Return the features of all images in the order of the table; NaN for a missing one."""
        row_of, matrix = self._row_of(root), self._content(root).matrix
        ids = self.read(root).image_ids
        block = np.full((len(ids), matrix.shape[1]), np.nan, dtype=np.float32)
        for row, image_id in enumerate(ids):
            if image_id in row_of:
                block[row] = matrix[row_of[image_id]]
        yield block

    def _content(self, root: Path | None) -> FeatureFile:
        """Return what the file holds, read once; ids are without the ending of an image."""
        file = self.check_root(root)
        if self._read is None or self._read[0] != file:
            content = read_feature_file(file)
            ids = tuple(map(without_ending, content.ids))
            refuse_twice(file, ids, [f"row {row}" for row in range(1, len(ids) + 1)])
            self._read = (file, replace(content, ids=ids))
        return self._read[1]

    def _row_of(self, root: Path | None) -> dict[str, int]:
        return {image_id: row for row, image_id in enumerate(self._content(root).ids)}
