"""A folder of WebDataset shards: tar files in which files of one name are one sample.

The convention (https://github.com/webdataset/webdataset): what stands before the first dot of a
member's name is the sample's key, and what stands after it says what the member is. `0007.jpg` is
an image; `0007.cls` its class, as a number or a name; `0007.json` holds fields. A `classnames.txt`
beside the shards, a name in each line, names classes that are numbers. Keys of people hold dots
too, as UIDs do: a part that does not begin with a letter is one of the key, so that `22.05.png` is
the image of `22.05`. Members of a sample need not be neighbours.

An image is known by its shard and its key. Shards are read by Python's own `tarfile`, and by it no
further than their index: the package `webdataset` streams samples in their order and unpickles
members that end in `.pyd` or `.pickle`, where each image is wanted on its own and nothing is ever
unpickled. A shard with such members is refused.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets._archived import Archived, Sample, field_split
from lmd_bench.data.datasets._own import checked_id
from lmd_bench.data.file_names import check_utf8
from lmd_bench.data.image_suffixes import SUFFIXES
from lmd_bench.data.table import DatasetCard

CLASS_NAMES = "classnames.txt"
_TAR = ".tar"
_ENDINGS = frozenset(suffix.removeprefix(".") for suffix in SUFFIXES)
# Of formats that run code when they are opened.
_PICKLES = frozenset({"pyd", "pickle", "pkl", "pth", "pt", "dill", "joblib"})
_MOST_TEXT = 2**20  # bytes of a record
# The key, which may hold dots, and what a member is: words that begin with a letter.
_NAME = re.compile(r"(?P<key>[^.].*?)\.(?P<ending>[a-z][\w-]*(?:\.[a-z][\w-]*)*)", re.IGNORECASE)


@dataclass
class _Entry:
    """What a shard holds under one key."""

    images: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    fields: dict[str, object] = field(default_factory=dict[str, object])


class WebDataset(Archived):
    """The images in a person's shards."""

    card = DatasetCard(
        name="webdataset",
        title="Your own images: a folder of tar files in the WebDataset convention",
        class_names=(),
        licence="that of your images",
        citation="the source of your images",
        url="https://github.com/webdataset/webdataset",
        how_to_get=(
            "Name a folder of .tar shards that hold, for each image, KEY.jpg (or another image) "
            "and KEY.cls or KEY.json with its class."
        ),
        group="group",
        splits="those that shards or their folders are named by, or of --split-column",
    )
    tables = (CLASS_NAMES,)

    def archives(self, root: Path) -> list[Path]:
        """Return the shards below the folder, at any depth, sorted by path."""
        shards = sorted(
            path
            for path in root.rglob(f"*{_TAR}")
            if path.is_file() and not any(p.startswith(".") for p in path.relative_to(root).parts)
        )
        if not shards:
            packed = sorted([*root.rglob("*.tar.gz"), *root.rglob("*.tgz")])
            mend = f" Unpack the compressed ones first: gunzip {packed[0]}" if packed else ""
            raise UserError(f"{root} holds no .tar shards. {self.card.how_to_get}{mend}")
        return shards

    def samples(self, root: Path) -> Iterator[Sample]:
        """Yield the images of all shards; a sample without an image is left out."""
        shards = self.archives(root)
        split_of = self.splits(root, shards)
        names = _class_names(root / CLASS_NAMES)
        entries = [entry for shard in shards for entry in _index(shard).values() if entry.images]
        if not entries:
            return
        # Of all records, for a field that the first lacks may say the patients of others.
        there = {name for entry in entries for name in entry.fields}
        fields = self.choose(there, root)
        for shard in shards:
            stem = shard.relative_to(root).with_suffix("").as_posix()
            for key, entry in _index(shard).items():
                at = self._image(shard, key, entry)
                if at is None:
                    continue
                said = entry.fields
                label = said.get(fields.label)
                split = split_of[shard]
                if fields.split is not None:
                    split = field_split(said.get(fields.split), f"{shard}, {key}")
                yield self.sample(
                    checked_id(str(shard), f"{stem}/{key}"),
                    shard,
                    at,
                    label=_named(label, names, f"{shard}, {key}") if names else label,
                    group=said.get(fields.group) if fields.group else None,
                    split=split,
                )

    def content_at(self, sample: Sample) -> bytes:
        """Return the bytes of an image."""
        offset, size = sample.at
        with sample.archive.open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)

    def notes(self, root: Path | None) -> tuple[str, ...]:
        """Return how many samples are left out, too."""
        shards = self.archives(self.check_root(root))
        entries = [entry for shard in shards for entry in _index(shard).values()]
        without = sum(not entry.images for entry in entries)
        left_out = (f"{without} of {len(entries)} samples are left out, as they hold no image",)
        return (*(left_out if without else ()), *super().notes(root))

    def _image(self, shard: Path, key: str, entry: _Entry) -> tuple[int, int] | None:
        """Return where the image of a sample lies; None where it has none."""
        asked = self.columns.image_column if self.columns else ""
        if asked:
            if asked.lower() not in entry.images:
                raise UserError(
                    f"{shard}: sample {key} has no image {key}.{asked}, but "
                    f"{', '.join(entry.images) or 'none'}; name another with --image-column."
                )
            return entry.images[asked.lower()]
        if len(entry.images) > 1:
            raise UserError(
                f"{shard}: sample {key} has several images, {', '.join(entry.images)}; say which "
                f"is meant, as in --image-column {next(iter(entry.images))}."
            )
        return next(iter(entry.images.values()), None)


def _index(shard: Path) -> Mapping[str, _Entry]:
    """Return what a shard holds by key, read once in a process.

    Raises:
        UserError: it is no whole tar file, or holds what is not allowed.
    """
    status = shard.stat()
    return _read_index(shard, status.st_size, status.st_mtime_ns)


@lru_cache(2**13)
def _read_index(shard: Path, size: int, mtime_ns: int) -> Mapping[str, _Entry]:
    entries: dict[str, _Entry] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                # Folders and links hold nothing; nothing that they point to is opened.
                if member.isreg() and not member.issparse():
                    _take(entries, shard, member, tar)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(
            f"The shard {shard} cannot be read ({error}); it must be a whole .tar file that is not "
            "compressed."
        ) from error
    return entries


def _take(
    entries: dict[str, _Entry], shard: Path, member: tarfile.TarInfo, tar: tarfile.TarFile
) -> None:
    folder, _, name = member.name.removeprefix("./").rpartition("/")
    if (match := _NAME.fullmatch(name)) is None:
        return  # hidden, or of no kind
    check_utf8(member.name)
    ending = match["ending"].lower()
    key = f"{folder}/{match['key']}" if folder else match["key"]
    kind = ending.rpartition(".")[2]
    if kind in _PICKLES:
        raise UserError(
            f"{shard} holds {member.name}, a pickled object, which is never opened, for it may run "
            "code; write the shard without it, and the class as .cls or .json."
        )
    entry = entries.setdefault(key, _Entry())
    if kind in _ENDINGS:
        if ending in entry.images:
            raise UserError(
                f"{shard} holds {member.name} twice; every image must have a key of its own."
            )
        entry.images[ending] = (member.offset_data, member.size)
    elif kind in ("cls", "json"):
        for name, value in _record(shard, member, tar, kind).items():
            if entry.fields.setdefault(name, value) != value:
                raise UserError(
                    f"{shard}: the records of sample {key} give '{name}' two values, {value} and "
                    f"{entry.fields[name]}; keep one of them."
                )


def _record(
    shard: Path, member: tarfile.TarInfo, tar: tarfile.TarFile, ending: str
) -> dict[str, object]:
    """Return the fields that a `.json` or `.cls` holds."""
    try:
        if member.size > _MOST_TEXT:
            raise ValueError(f"it has {member.size} bytes")
        stream = tar.extractfile(member)
        assert stream is not None, "it is a file"
        text = stream.read().decode("utf-8-sig")
        if ending == "cls":
            return {"cls": text.strip()}
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("it is no JSON object")
        return fields
    # Of JSON and of UTF-8 too; too deep a nesting is a RecursionError.
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{shard}: {member.name} cannot be read ({error}); write it as UTF-8 text"
            f"{', a JSON object' if ending == 'json' else ''}."
        ) from error


def _class_names(file: Path) -> list[str]:
    """Return the classes of a `classnames.txt`; none where it is not there."""
    if not file.is_file():
        return []
    try:
        return [line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} cannot be read ({error}); save it as UTF-8, one class in each line."
        ) from error


def _named(label: object, names: list[str], place: str) -> object:
    """Return the name of a class that is a number; a name stays."""
    text = str(label).strip()
    if not text.isdecimal():
        return label
    if int(text) >= len(names):
        raise UserError(
            f"{place}: the class is {text}, but {CLASS_NAMES} names 0 to {len(names) - 1}; give it "
            "a line for every class."
        )
    return names[int(text)]
