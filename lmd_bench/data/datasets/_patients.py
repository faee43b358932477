"""Whose the DICOM files of a folder are, without anybody's name.

Tables of images are stored in the cache, and ids of images with results. So patients are known by a
hash, and a folder or file that is called like its patient is called by a hash too. Ids of patients
are few and easily guessed, so each hash holds a UID of the patient's images, which only who has the
data knows; it does not depend on other patients.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lmd_bench.core.schema import MISSING_VALUES, salted_hash
from lmd_bench.data.datasets._dicom import Header, read_header
from lmd_bench.data.table import ImageTable, own_group

_SHORTEST = 3  # characters of a name that may hide within a longer one


class Patients:
    """The patients of some DICOM files."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Read the header of each file."""
        headers = {file: read_header(file) for file in files}
        self._headers: Mapping[Path, Header] = {f: h for f, h in headers.items() if h is not None}
        known = [h for h in self._headers.values() if h.patient.lower() not in MISSING_VALUES]
        known = [h for h in known if h.patient]
        self._salts = _smallest((h.patient, h.uid) for h in known)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of them."""
        n_files, n_patients = len(self._headers), len(self._salts)
        if n_files > 1 and n_patients < 2:
            return (
                f"the {n_files} DICOM files name one patient or none, as those that were made "
                "anonymous do: each image is its own group; name a column of patients if you know "
                "them",
            )
        return (f"the {n_files} DICOM files are of {n_patients} patients, known by a hash",)

    def group(self, file: Path) -> str:
        """Return the hash that stands for the patient of a file; "" where that is not known."""
        header = self._headers.get(file)
        # One id for all is what anonymising leaves: it says nothing of who is who.
        if header is None or header.patient not in self._salts or len(self._salts) < 2:
            return ""
        return _mark("patient", header.patient, self._salts[header.patient])

    def uid(self, file: Path | None) -> str:
        """Return the UID of a file's image, "" of one that is not DICOM."""
        header = None if file is None else self._headers.get(file)
        return "" if header is None else header.uid

    def hidden(self, image_id: str, file: Path) -> str:
        """Return an id with a hash in place of each part that names the patient of its file."""
        header = self._headers.get(file)
        if header is None:
            return image_id
        tokens = {_letters(text) for text in header.names}
        tokens |= {_letters(word) for text in header.names for word in re.split(r"\W+|_", text)}
        tokens.discard("")
        salt = self._salts.get(header.patient, header.uid)
        parts = [
            _mark("hidden", part, salt) if _names(_letters(part), tokens) else part
            for part in image_id.split("/")
        ]
        return "/".join(parts)


def without_names(
    table: ImageTable, files: Sequence[Path | None], patients: Patients, *, own_groups: bool
) -> ImageTable:
    """Return a table whose ids and groups name nobody.

    Args:
        table: of images.
        files: of each image; None where it is missing.
        patients: of the files.
        own_groups: a person named the groups; else they are the patients.
    """
    ids = [
        image_id if file is None else patients.hidden(image_id, file)
        for image_id, file in zip(table.image_ids, files, strict=True)
    ]
    named = [
        "" if group == own_group(image_id) else group
        for image_id, group in zip(table.image_ids, table.groups, strict=True)
    ]
    if own_groups:
        uids = [patients.uid(file) for file in files]
        salts = _smallest((g, u) for g, u in zip(named, uids, strict=True) if u)
        groups = [g and _mark("group", g, salts.get(g, "")) for g in named]
    else:
        groups = ["" if file is None else patients.group(file) for file in files]
    return replace(
        table,
        image_ids=tuple(ids),
        groups=tuple(g or own_group(i) for g, i in zip(groups, ids, strict=True)),
    )


def _smallest(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the smallest second value of each first one."""
    smallest: dict[str, str] = {}
    for name, value in pairs:
        smallest[name] = min(value, smallest.get(name, value))
    return smallest


def _mark(kind: str, name: str, salt: str) -> str:
    return f"{kind}-{salted_hash(salt, name, digits=16)}"


def _letters(text: str) -> str:
    return "".join(re.findall(r"[^\W_]", text.casefold()))


def _names(part: str, tokens: set[str]) -> bool:
    return any(t == part or len(t) >= _SHORTEST and t in part for t in tokens)
