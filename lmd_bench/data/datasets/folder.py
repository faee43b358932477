"""Any folder of images: one sub-folder a class, or a CSV that says what each image shows.

Without a CSV the class of an image is the sub-folder of the data folder that it lies in, at any
depth; classes are sorted by name. Where the sub-folders are called train, val and test, they are
the declared split, and the folders in them the classes.

With a CSV (`schema.TableColumns`) the folder may be arranged in any way: a row names an image by
its path below the folder or, where only one file is called so, by its file name alone, in both
cases with or without the ending. Group and split columns are optional; an empty group makes the
image its own.

An image is known by that path or name without its ending. Names that begin with a dot are skipped.
Links are followed. What is left out for its ending is counted, and a class folder without an image
is refused, so that no class vanishes unseen.

DICOM files may have any ending or none. They say of which patient they are, and that is the group
where no column names one; nobody's name is kept (`_patients.py`).
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TableColumns
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.datasets._decode import SAVE_SLICES
from lmd_bench.data.datasets._dicom import is_dicom
from lmd_bench.data.datasets._own import (
    listing_files,
    notes_on_table,
    read_listed,
    refuse_twice,
    table_of,
)
from lmd_bench.data.datasets._patients import Patients, without_names
from lmd_bench.data.file_names import SPLITS, check_utf8, is_mask, plain, without_ending
from lmd_bench.data.image_suffixes import NIFTI_SUFFIXES, SUFFIXES
from lmd_bench.data.table import DatasetCard, ImageTable

# Folders of such names hold parts of pictures, not classes.
_PARTS = frozenset(
    f"{name}{plural}"
    for name in ("image", "img", "mask", "label", "annotation", "segmentation")
    for plural in ("", "s")
)
_NOT_SEEN = (".", "__", "@")  # begin the names of what systems put beside a person's files


class Folder(Dataset):
    """The images of a person's own folder."""

    card = DatasetCard(
        name="folder",
        title="Your own images: a folder with one sub-folder a class, or with a CSV",
        class_names=(),
        licence="that of your images",
        citation="the source of your images",
        url="",
        how_to_get=(
            "Put the images of each class into a sub-folder of its name; or describe a CSV with "
            "--images-csv, --image-column and --label-column (and --group-column, --split-column)."
        ),
        group="group",
        splits="those of --split-column, or sub-folders train, val and test",
    )
    version = 2

    def describe(self, columns: TableColumns) -> None:
        """Read the images that a CSV lists, from now on."""
        self.columns = columns
        self.tables = tuple(map(str, listing_files(columns)))

    def read(self, root: Path | None) -> ImageTable:
        """Return the images of the sub-folders sorted by path, or those of the CSV in its order."""
        root = self.check_root(root)
        listed = self.columns
        table = self._by_folder(root) if listed is None else read_listed(listed)
        files = list(self.files(root))
        patients = _patients_of(files)
        if patients is None:
            return table
        finder = _Files(root, files, patients)
        found = [finder.find(image_id) for image_id in table.image_ids]
        return without_names(table, found, patients, own_groups=self._groups_named)

    @property
    def _groups_named(self) -> bool:
        return self.columns is not None and self.columns.group_column is not None

    def files(self, root: Path | None) -> Iterator[os.DirEntry[str]]:
        """Yield the image files at any depth below the folder."""
        yield from filter(_is_image, _files_below(self.check_root(root)))

    def notes(self, root: Path | None) -> tuple[str, ...]:
        """Return what of the folder is left out, and what may not be meant as an image."""
        folder = self.check_root(root)
        files = list(_files_below(folder))
        images = [entry for entry in files if _is_image(entry)]
        # Files beside the class folders are a person's lists and read-mes.
        others = [e for e in files if not _is_image(e) and Path(e.path).parent != folder]
        table = self.read(root)
        notes: list[str] = []
        if others:
            notes.append(
                f"{len(others)} of {len(images) + len(others)} files are left out, as their "
                f"ending is that of no image that is read: {_endings(others)}"
            )
        if self.columns is not None:
            found = {*self.paths(root, table)} - {None}
            if len(images) > len(found):
                notes.append(
                    f"{len(images) - len(found)} of {len(images)} images in the folder are not "
                    f"listed in {Path(self.columns.images_csv or '').name}"
                )
        masks = [entry.name for entry in images if is_mask(entry.name)]
        if masks and self.columns is None:
            notes.append(
                f"{len(masks)} files that are called like masks count as images of their class, "
                f"first {min(masks)}"
            )
        # Below the folder of a declared split it is the second level.
        usual = 3 if table.own_splits else 2
        deep = all(len(Path(e.path).relative_to(folder).parts) > usual for e in images)
        if images and deep and self.columns is None:
            level = ("first", "second")[usual - 2]
            notes.append(
                f"all images lie {usual} folders deep or more; the {level} level is the class"
            )
        patients = None if self._groups_named else _patients_of(images)
        notes += [] if patients is None else patients.notes
        return (*notes, *notes_on_table(table))

    def paths(self, root: Path | None, table: ImageTable) -> tuple[Path | None, ...]:
        """Return the file of each image, None where it is missing.

        Raises:
            UserError: an image's name is that of several files.
        """
        folder = self.check_root(root)
        entries = list(self.files(root))
        files = _Files(folder, entries, _patients_of(entries))
        return tuple(files.find(image_id) for image_id in table.image_ids)

    def where(self, root: Path | None, image_id: str) -> str:
        """Return where a listed image that was not found may lie, as a sentence."""
        folder = self.check_root(root)
        name = Path(image_id)
        same = [e for e in _files_below(folder) if Path(e.name).stem == name.name]
        same += [e for e in _files_below(folder) if e.name == name.name]
        others = [entry for entry in same if not _is_image(entry)]
        _refuse_volumes(folder, others)
        if others:
            return (
                f"{Path(others[0].path).relative_to(folder)} is there, but no image of its ending "
                f"is read; endings of images are {' '.join(sorted(SUFFIXES))}."
            )
        if name.name.lower().endswith(NIFTI_SUFFIXES):
            return f"A volume (NIfTI) is not an image: {SAVE_SLICES}."
        if name.parts[0] == folder.name:
            return f"The CSV names paths from the folder above: name {folder.parent} as data root."
        if same:
            return (
                f"{Path(same[0].path).relative_to(folder)} lies there and has that file name: name "
                "images by their path below the data folder, or by their file name alone."
            )
        return "The CSV names them by their path below the data folder, or by their file name."

    def _by_folder(self, root: Path) -> ImageTable:
        ids = sorted(
            without_ending(Path(entry.path).relative_to(root).as_posix())
            for entry in self.files(root)
        )
        inside = [image_id for image_id in ids if "/" in image_id]
        if not inside:
            others = list(_files_below(root))
            _refuse_volumes(root, others)
            raise UserError(
                f"{root} has no sub-folder with images. {_archives(others)}{self.card.how_to_get}"
            )
        if len(inside) < len(ids):
            loose = next(image_id for image_id in ids if "/" not in image_id)
            raise UserError(
                f"{root} holds images outside the sub-folders of its classes, first {loose}; move "
                "them into one, or describe a CSV with --images-csv."
            )
        files = sorted(Path(entry.path).relative_to(root) for entry in self.files(root))
        refuse_twice(
            root, [without_ending(file.as_posix()) for file in files], list(map(str, files))
        )
        first = [image_id.partition("/")[0] for image_id in ids]
        if _are_splits(root, set(first)):
            return self._by_split(root, ids)
        _refuse_empty(root, _folders_in(root), set(first))
        return table_of(ids, first, [""] * len(ids), None)

    def _by_split(self, root: Path, ids: list[str]) -> ImageTable:
        """Return the images of train, val and test, each with one sub-folder a class."""
        parts = [image_id.split("/") for image_id in ids]
        loose = next((p for p in parts if len(p) < 3), None)
        if loose is not None:
            raise UserError(
                f"{root / loose[0]} holds images outside the sub-folders of its classes, first "
                f"{loose[-1]}; move them into one, or describe a CSV with --images-csv."
            )
        classes = [name for _, name, *_ in parts]
        folders = [f for split in {p[0] for p in parts} for f in _folders_in(root / split)]
        # A class without an image in one split is counted as such; one without any is not there.
        _refuse_empty(root, folders, set(classes))
        splits = [SPLITS[split.lower()] for split, *_ in parts]
        return replace(table_of(ids, classes, [""] * len(ids), splits), own_splits=True)


class _Files:
    """Finds an image by its path below the folder, or by its file name where that is unique.

    A name that is not there as it is written stands for one that looks the same (`plain`).
    """

    def __init__(
        self, root: Path, entries: Iterable[os.DirEntry[str]], patients: Patients | None = None
    ) -> None:
        self._root = root
        self._by_path: dict[str, list[Path]] = {}
        self._by_name: dict[str, list[Path]] = {}
        for entry in entries:
            path = Path(entry.path)
            relative = without_ending(path.relative_to(root).as_posix())
            # By the name in the table, too, where that hides a patient.
            hidden = relative if patients is None else patients.hidden(relative, path)
            for name in {relative, hidden}:
                self._by_path.setdefault(name, []).append(path)
            for name in {relative.rpartition("/")[2], hidden.rpartition("/")[2]}:
                self._by_name.setdefault(name, []).append(path)
        self._alike: tuple[dict[str, list[Path]], ...] | None = None

    def find(self, image_id: str) -> Path | None:
        matches = self._by_path.get(image_id) or self._by_name.get(image_id) or []
        if not matches:
            by_path, by_name = self._looking_alike()
            matches = by_path.get(plain(image_id)) or by_name.get(plain(image_id)) or []
        if len(matches) > 1:
            listed = " and ".join(str(path.relative_to(self._root)) for path in sorted(matches)[:2])
            raise UserError(
                f"Image {image_id} could be {listed} in {self._root}; name it by its path below "
                "that folder, and keep one file of each name."
            )
        return matches[0] if matches else None

    def _looking_alike(self) -> tuple[dict[str, list[Path]], ...]:
        if self._alike is None:
            self._alike = tuple(
                _merged((plain(name), paths) for name, paths in of.items())
                for of in (self._by_path, self._by_name)
            )
        return self._alike


def _merged(items: Iterable[tuple[str, list[Path]]]) -> dict[str, list[Path]]:
    merged: dict[str, list[Path]] = {}
    for name, paths in items:
        merged[name] = [*merged.get(name, []), *paths]
    return merged


def _are_splits(root: Path, names: set[str]) -> bool:
    """Return whether the sub-folders with images are a split, and refuse what cannot be classes."""
    splits = {name for name in names if name.lower() in SPLITS}
    if len(splits) > 1 and splits != names:
        raise UserError(
            f"Of the sub-folders of {root}, {', '.join(sorted(splits))} are parts of a split and "
            f"{', '.join(sorted(names - splits))} are not; move the others elsewhere, or put the "
            "images of each class into one sub-folder."
        )
    if len(names) == 1:
        (only,) = names
        raise UserError(
            f"{root} has one sub-folder with images, {only}, and a task needs two classes; if the "
            f"classes are the folders in it, name {root / only} as --data-root."
        )
    if {name.lower() for name in names} <= _PARTS:
        raise UserError(
            f"The sub-folders {', '.join(sorted(names))} of {root} are no classes; put the images "
            "of each class into one sub-folder, or describe a CSV with --images-csv."
        )
    return len(splits) > 1


def _refuse_empty(root: Path, folders: Iterable[Path], classes: set[str]) -> None:
    for folder in folders:
        if folder.name in classes or folder.name.startswith(_NOT_SEEN):
            continue
        others = list(_files_below(folder))
        _refuse_volumes(root, others)
        held = f"holds {len(others)} files ({_endings(others)}) but" if others else "holds"
        raise UserError(
            f"The sub-folder {folder.relative_to(root)} of {root} {held} no image that is read; "
            f"endings of images are {' '.join(sorted(SUFFIXES))}: convert its files, or move it "
            "elsewhere."
        )


def _refuse_volumes(root: Path, files: Sequence[os.DirEntry[str]]) -> None:
    """Refuse volumes that lie where images are looked for."""
    volumes = sorted(e.path for e in files if e.name.lower().endswith(NIFTI_SUFFIXES))
    if volumes:
        raise UserError(
            f"{root} holds {len(volumes)} volumes (NIfTI), first "
            f"{Path(volumes[0]).relative_to(root)}, and a volume is not an image: {SAVE_SLICES}."
        )


def _archives(files: Sequence[os.DirEntry[str]]) -> str:
    """Return, as a sentence, which data set reads archives that lie there; "" where none does."""
    endings = {Path(entry.name).suffix for entry in files}
    for kind, of in (("webdataset", {".tar"}), ("huggingface", {".arrow", ".parquet"})):
        if endings & of:
            return f"Its {' and '.join(sorted(endings & of))} files are read by --dataset {kind}. "
    return ""


def _patients_of(entries: Iterable[os.DirEntry[str]]) -> Patients | None:
    """Return the patients of the DICOM files among these; None where there are none."""
    files = [path for path in (Path(entry.path) for entry in entries) if is_dicom(path)]
    return Patients(files) if files else None


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _endings(files: Iterable[os.DirEntry[str]]) -> str:
    endings = (Path(entry.name).suffix.lower() or "no ending" for entry in files)
    counts = Counter(ending.encode(errors="replace").decode() for ending in endings)
    return ", ".join(f"{n} {ending}" for ending, n in counts.most_common())


def _is_image(entry: os.DirEntry[str]) -> bool:
    return Path(entry.name).suffix.lower() in SUFFIXES or is_dicom(Path(entry.path))


def _files_below(
    folder: Path, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[os.DirEntry[str]]:
    """Yield all files at any depth, links followed, but not back to a folder that they lie in."""
    here = folder.stat()
    above |= {(here.st_dev, here.st_ino)}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                if _is_image(entry):
                    check_utf8(entry.path)
                elif entry.is_symlink() and not os.path.exists(entry.path):
                    # It may have been the folder of a class.
                    raise UserError(f"{entry.path} is a link to nothing; mend or remove it.")
                yield entry
                continue
            check_utf8(entry.path)
            status = entry.stat()
            if (status.st_dev, status.st_ino) not in above:
                yield from _files_below(Path(entry.path), above)
