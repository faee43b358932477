"""Data sets whose images lie in archives, many in each, with what the archive says of them.

The class, the group and the split of an image are fields of its record. The class and the group
are found by their usual names where `--label-column` and `--group-column` do not say theirs. The
names of archives, or of their folders, may declare a split: `train-0000.tar`, `test/0000.tar`.

Nothing is unpacked onto the disk. An image is read where it lies, when it is decoded.
"""

import os
import re
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import MISSING_VALUES, TableColumns
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.datasets._decode import UnreadableImageError
from lmd_bench.data.datasets._dicom import is_dicom
from lmd_bench.data.datasets._own import notes_on_table, split_name, table_of
from lmd_bench.data.file_names import SPLITS
from lmd_bench.data.table import ImageTable

LABELS = ("label", "labels", "cls", "class", "class_name", "category")
GROUPS = ("group", "patient", "patient_id", "lesion", "lesion_id")


@dataclass(frozen=True)
class Sample:
    """An image in an archive, and what its record says of it; "" for nothing."""

    image_id: str
    archive: Path
    at: tuple[int, int]  # where in the archive; the data set knows what the numbers mean
    label: str
    group: str
    split: str


@dataclass(frozen=True)
class Fields:
    """The names of the fields that are read; None for one that the records do not have."""

    label: str
    group: str | None
    split: str | None


class Archived(Dataset):
    """A data set of archives; its file says which there are, and how one is read."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._samples: dict[str, Sample] = {}
        self._fields: Fields | None = None

    @abstractmethod
    def archives(self, root: Path) -> list[Path]:
        """Return the archives below the folder, in order.

        Raises:
            UserError: there is none, or what says which there are is damaged.
        """

    @abstractmethod
    def samples(self, root: Path) -> Iterator[Sample]:
        """Yield all images, archive by archive, each in its order.

        Raises:
            UserError: an archive that cannot be read, or records without a class.
        """

    @abstractmethod
    def content_at(self, sample: Sample) -> bytes | None:
        """Return the bytes of an image; None where the archive names a file in their place."""

    def describe(self, columns: TableColumns) -> None:
        """Read these fields of the records, from now on.

        Raises:
            UserError: a CSV is named.
        """
        if columns.images_csv is not None:
            raise UserError(
                f"The archives of data set '{self.card.name}' say themselves what their images "
                "show, so --images-csv does not apply; leave it out."
            )
        self.columns = columns

    def read(self, root: Path | None) -> ImageTable:
        """Return all images, archive by archive."""
        samples = self._all(root)
        splits = [sample.split for sample in samples]
        declared = any(splits)
        table = table_of(
            [sample.image_id for sample in samples],
            [sample.label for sample in samples],
            [sample.group for sample in samples],
            splits if declared else None,
        )
        return replace(table, own_splits=declared)

    def files(self, root: Path | None) -> Iterator[os.DirEntry[str]]:
        """Yield the archives."""
        archives = self.archives(self.check_root(root))
        for folder in dict.fromkeys(archive.parent for archive in archives):
            names = {archive.name for archive in archives if archive.parent == folder}
            with os.scandir(folder) as entries:
                yield from (entry for entry in entries if entry.name in names)

    def paths(self, root: Path | None, table: ImageTable) -> tuple[Path | None, ...]:
        """Return the archive that each image lies in."""
        if not all(image_id in self._samples for image_id in table.image_ids):
            self._all(root)
        return tuple(self._samples[image_id].archive for image_id in table.image_ids)

    def missing(self, root: Path | None, table: ImageTable) -> Bool[np.ndarray, " images"]:
        """Return False for every image: what an archive lists, it holds."""
        return np.zeros(len(table), dtype=np.bool_)

    def notes(self, root: Path | None) -> tuple[str, ...]:
        """Return which fields are read, and which classes may be one written in several ways."""
        table, fields = self.read(root), self._fields
        assert fields is not None, "an image was read"
        group = f"'{fields.group}' the group" if fields.group else "none the group"
        said = f"of the fields '{fields.label}' says the class and {group}"
        return (said, *notes_on_table(table))

    def content(self, image_id: str, path: Path | None) -> bytes | None:
        """Return the bytes of an image.

        Raises:
            UserError: the archive does not hold them, or they are DICOM.
        """
        sample = self._samples[image_id]
        content = self.content_at(sample)
        name = sample.archive / image_id
        if content is None:
            mend = "write the archive again with the bytes of its images"
            raise UnreadableImageError(name, "the archive names a file in place of it", mend)
        # Its header may name a patient, who is a group, and whose name must be hidden.
        if is_dicom(name, content):
            mend = "unpack the archive into a folder, for --dataset folder"
            raise UnreadableImageError(name, "DICOM is not read from archives", mend)
        return content

    def choose(self, there: Collection[str], place: Path, label: str = "") -> Fields:
        """Return which fields say the class, the group and the split of an image.

        Args:
            there: the names of the records' fields.
            place: where they stand.
            label: the one that says the class where nobody names another; "": one of `LABELS`.

        Raises:
            UserError: a field that was asked for is not there, or none says the class.
        """
        asked = self.columns
        for name in (asked.label_column, asked.group_column, asked.split_column) if asked else ():
            if name and name not in there:
                raise _no_field(f"no field '{name}'", there, place)
        label = (asked.label_column if asked else "") or label
        label = label or next((name for name in LABELS if name in there), "")
        if not label:
            raise _no_field("no class of its images", there, place)
        usual = next((name for name in GROUPS if name in there), None)
        group = asked.group_column if asked else None
        self._fields = Fields(label, group or usual, asked.split_column if asked else None)
        return self._fields

    def sample(
        self,
        image_id: str,
        archive: Path,
        at: tuple[int, int],
        *,
        label: object,
        group: object,
        split: str,
    ) -> Sample:
        """Return an image with what its record says, as text.

        Args:
            image_id: of the image.
            archive: that it lies in.
            at: where in the archive.
            label: as the record has it; must be there.
            group: as the record has it.
            split: train, val, test or "".

        Raises:
            UserError: there is no class, or more than one.
        """
        words = {word.lower() for word in self._missing_values}
        if isinstance(label, list | dict):
            raise UserError(
                f"{archive}: image {image_id} has the class {label}; an image has one class here, "
                "so give it a name or a number, or name another field with --label-column."
            )
        name = "" if label is None else str(label).strip()
        if not name or name.lower() in words:
            raise UserError(
                f"{archive}: image {image_id} has no class ('{name}'); give every image one, or "
                "leave it out."
            )
        patient = "" if group is None else str(group).strip()
        patient = "" if patient.lower() in words else patient
        return Sample(image_id, archive, at, name, patient, split)

    def splits(self, root: Path, archives: Sequence[Path]) -> dict[Path, str]:
        """Return the split that the name of each archive declares, "" where none does.

        Raises:
            UserError: some archives are parts of a split and others are not, or a field is to say
                it too.
        """
        named = {archive: _split_of(root, archive) for archive in archives}
        splits = {*named.values()} - {""}
        # One name says nothing: many data sets have their images in a `train` alone.
        if len(splits) < 2:
            return dict.fromkeys(archives, "")
        if "" in named.values():
            others = [archive for archive, split in named.items() if not split]
            raise UserError(
                f"Of the archives in {root}, {len(others)} are no part of its split into "
                f"{', '.join(sorted(splits))}, first {others[0].relative_to(root)}; move them "
                "elsewhere, or name them by their split."
            )
        if self.columns is not None and self.columns.split_column is not None:
            raise UserError(
                f"--split-column {self.columns.split_column} names a field, but the archives in "
                f"{root} are the split themselves; leave it out."
            )
        return named

    @property
    def _missing_values(self) -> tuple[str, ...]:
        return MISSING_VALUES if self.columns is None else self.columns.missing_values

    def _all(self, root: Path | None) -> list[Sample]:
        folder = self.check_root(root)
        samples = list(self.samples(folder))
        if not samples:
            raise UserError(f"The archives in {folder} hold no image. {self.card.how_to_get}")
        self._samples = {sample.image_id: sample for sample in samples}
        return samples


def field_split(value: object, place: str) -> str:
    """Return train, val, test or "" for what a field calls it."""
    return split_name("" if value is None else str(value).strip(), place)


def _no_field(what: str, there: Collection[str], place: Path) -> UserError:
    return UserError(
        f"{place} has {what}; its fields are {', '.join(sorted(there)) or 'none'}: name the one of "
        "the class with --label-column (and those of group and split with --group-column and "
        "--split-column)."
    )


def _split_of(root: Path, archive: Path) -> str:
    """Return what the file's name, or else the nearest folder's, says of the split."""
    for part in reversed(archive.relative_to(root).parts):
        words = [word.lower() for word in re.split(r"[^A-Za-z]+", part)]
        split = next((SPLITS[word] for word in words if word in SPLITS), None)
        if split is not None:
            return split
    return ""
