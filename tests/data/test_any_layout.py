"""Random layouts, CSVs, names, groups and splits: every image is used once or said to be left out.

Each class has its own colour, so that a label that went astray shows in the pixels.
"""

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from lmd_bench.cli.check import run_check
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TableColumns, TaskSpec
from lmd_bench.data.file_names import SPLITS
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.tasks.protocols import cut
from tests.data.datasets.archives import write_parquet, write_tar

COLOURS = ((230, 20, 20), (20, 230, 20), (20, 20, 230), (230, 230, 20))
WORDS = {
    "train": ("train", "Training", "TRAIN"),
    "val": ("val", "valid", "Validation", "dev"),
    "test": ("test", "Testing"),
    "": ("",),
}
ARCHIVES = ("webdataset", "huggingface")
NO_PATIENT = ("", "nan", "NA", "None", "n/a")
TOO_LITTLE = re.compile(
    "needs at least 8|too few groups|No image of class .* is left|has no image in|no image for "
    "train|would give it a second name|leaves no image|needs two"
)
names = st.lists(
    st.sampled_from(
        (
            "nevus",
            "Nävus",
            "b [flat]",
            "c, NOS",
            'd "x"',
            "10",
            "2",
            "ملا",
            "[x]",
            "e;f",
            "😀",
            "g.h",
        )
    ),
    min_size=2,
    max_size=4,
    unique=True,
)


@dataclass
class Made:
    """What was made: the class, patient and declared split of each image by its id."""

    root: Path
    source: DataSource
    dataset: str = "folder"
    label: dict[str, str] = field(default_factory=dict)
    patient: dict[str, str] = field(default_factory=dict)
    split: dict[str, str] = field(default_factory=dict)
    declared: bool = False
    n_absent: int = 0
    n_unlisted: int = 0
    n_dropped: int = 0
    n_without: int = 0  # samples without an image


@contextmanager
def own_folder() -> Iterator[Path]:
    """Give an example a folder and a cache of its own."""
    before = os.environ["LMD_BENCH_CACHE"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LMD_BENCH_CACHE"] = f"{folder}/cache"
        try:
            yield Path(folder)
        finally:
            os.environ["LMD_BENCH_CACHE"] = before


def save(file: Path, colour: tuple[int, int, int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 8), colour).save(file)


def in_folders(draw: Any, folder: Path, classes: list[str], *, splits: bool) -> Made:
    root = folder / "images"
    made = Made(root, DataSource(root), declared=splits)
    for name, colour in zip(classes, COLOURS, strict=False):
        for i in range(draw(st.integers(8, 14))):
            split = ("train", "train", "val", "test")[i % 4] if splits else ""
            parts = [draw(st.sampled_from(WORDS[split][:1]))] if splits else []
            deep = draw(st.sampled_from(("", "deep")))
            image_id = "/".join(filter(None, [*parts, name, deep, f"im {i}"]))
            ending = draw(st.sampled_from((".png", ".BMP", ".jpe", ".gif")))
            save(root / f"{image_id}{ending}", colour)
            made.label[image_id] = name
            made.split[image_id] = split
    for n in range(draw(st.integers(0, 2))):
        (root / next(iter(made.label))).with_name(f"note{n}.txt").write_text("x")
        (root / next(iter(made.label))).with_name(f".hidden{n}.png").write_text("x")
    return made


def by_csv(draw: Any, folder: Path, classes: list[str], *, one_hot: bool) -> Made:
    root = folder / "images"
    has_groups, declared = draw(st.booleans()), draw(st.booleans())
    places = draw(st.sampled_from(("flat", "nested")))
    rows: list[list[str]] = []
    made = Made(root, DataSource(root), declared=declared)
    n = 0
    for k, name in enumerate(classes):
        for _ in range(draw(st.integers(8, 14))):
            n += 1
            where = f"{draw(st.sampled_from(('x', 'y z')))}/{n}" if places == "nested" else str(n)
            image_id = where if draw(st.booleans()) else str(n)
            absent = draw(st.integers(0, 19)) == 0
            if absent:
                made.n_absent += 1
            else:
                save(root / f"{where}.png", COLOURS[k])
                made.label[image_id] = name
                patient = draw(st.sampled_from((*NO_PATIENT, *(f"p{n // 3}", f"q{n // 2}"))))
                made.patient[image_id] = "" if patient in NO_PATIENT else patient
                made.split[image_id] = draw(st.sampled_from(("train", "train", "val", "test", "")))
            word = draw(st.sampled_from(WORDS[made.split.get(image_id, "train")]))
            label = [str(int(c == name)) for c in classes] if one_hot else [name]
            given_name = image_id + draw(st.sampled_from(("", ".png")))
            rows.append([given_name, *label, patient if not absent else "", word])
    for _ in range(draw(st.integers(0, 2))):
        n += 1
        save(root / f"{n}.png", COLOURS[0])
        made.n_unlisted += 1
    header = ["f", *([f"is {i}" for i in range(len(classes))] if one_hot else ["y"]), "p", "s"]
    if one_hot:
        made.label = {i: f"is {classes.index(name)}" for i, name in made.label.items()}
    rows = draw(st.permutations(rows))
    file = folder / "list.csv"
    file.write_bytes(csv_bytes(draw, header, rows))
    columns = TableColumns(
        file,
        "f",
        ",".join(header[1:-2]),
        "p" if has_groups else None,
        "s" if declared else None,
    )
    if not has_groups:
        made.patient = dict.fromkeys(made.patient, "")
    made.source = DataSource(root, allow_missing=True, columns=columns)
    return made


def csv_bytes(draw: Any, header: list[str], rows: list[list[str]]) -> bytes:
    stream = io.StringIO()
    quoting = draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    end = draw(st.sampled_from(("\n", "\r\n", "\n\n", ",\n")))
    delimiter = draw(st.sampled_from(",;\t"))
    if end == ",\n":  # a comma at the end of each line
        end = f"{delimiter}\n"
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([header, *rows])
    text = stream.getvalue() + draw(st.sampled_from(("", "\n", "   \n", f"{delimiter}\n")))
    return text.encode(draw(st.sampled_from(("utf-8", "utf-8-sig"))))


def in_archives(draw: Any, folder: Path, classes: list[str], dataset: str) -> Made:
    root = folder / "images"
    declared, has_groups = draw(st.booleans()), draw(st.booleans())
    made = Made(root, DataSource(root), dataset, declared=declared)
    of_archive: dict[str, list[tuple[str, str, tuple[int, int, int]]]] = {}
    words = {split: draw(st.sampled_from(WORDS[split])) for split in ("train", "val", "test")}
    for name, colour in zip(classes, COLOURS, strict=False):
        for i in range(draw(st.integers(8, 14))):
            split = ("train", "train", "val", "test")[i % 4]
            part = words[split] if declared else draw(st.sampled_from(("x", "y")))
            patient = draw(st.sampled_from((*NO_PATIENT, f"p{i // 3}"))) if has_groups else ""
            of_archive.setdefault(part, []).append((name, patient, colour))
    n_rows: dict[str, int] = {}
    # The ids of a table are those of its rows, and files are read in the order of their names.
    for part in sorted(of_archive):
        split = SPLITS.get(part.lower(), "")
        images = of_archive[part]
        for key, (name, patient, _) in enumerate(images):
            row = n_rows.get(split, 0)
            n_rows[split] = row + 1
            at_row = f"{split or 'row'}-{row:06d}"
            image_id = f"{part}-0/im {key}" if dataset == "webdataset" else at_row
            made.label[image_id], made.split[image_id] = name, split
            made.patient[image_id] = "" if patient in NO_PATIENT else patient
        if dataset == "huggingface":
            write_parquet(
                root / f"{part}-0.parquet",
                {
                    "image": [{"bytes": encoded(c, "PNG"), "path": None} for *_, c in images],
                    "label": [name for name, *_ in images],
                    "patient": [patient for _, patient, _ in images],
                },
            )
            continue
        members: dict[str, bytes | str] = {}
        for key, (name, patient, colour) in enumerate(images):
            kind = draw(st.sampled_from(("PNG", "BMP")))
            members[f"im {key}.{kind}"] = encoded(colour, kind)
            members[f"im {key}.json"] = json.dumps({"label": name, "patient": patient})
        for n in range(draw(st.integers(0, 2))):
            members[f"none {n}.cls"] = classes[0]
            made.n_without += 1
        write_tar(root / f"{part}-0.tar", dict(draw(st.permutations(list(members.items())))))
    return made


def encoded(colour: tuple[int, int, int], kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 8), colour).save(stream, kind)
    return stream.getvalue()


def asked(draw: Any, folder: Path) -> tuple[Made, TaskSpec]:
    classes = draw(names)
    kind = draw(st.sampled_from(("folders", "split folders", "csv", "csv", "one-hot", *ARCHIVES)))
    if kind in ARCHIVES:
        made = in_archives(draw, folder, classes, kind)
    elif "folders" in kind:
        made = in_folders(draw, folder, classes, splits=kind == "split folders")
    else:
        made = by_csv(draw, folder, classes, one_hot=kind == "one-hot")
    protocols = ("official",) if made.declared else ("balanced_v2", "natural", "no_val", "balanced")
    protocol = draw(st.sampled_from(protocols))
    if draw(st.booleans()):
        counts = {c: list(made.label.values()).count(c) for c in set(made.label.values())}
        below = draw(st.integers(9, 11))
        made.n_dropped = sum(n for n in counts.values() if n < below)
        made.label = {i: c for i, c in made.label.items() if counts[c] >= below}
        made.source = DataSource(
            made.root, made.source.allow_missing, None, made.source.columns, "drop", below
        )
    seed = 0 if made.declared else draw(st.integers(0, 3))
    return made, TaskSpec(made.dataset, protocol, split_seed=seed, image_size=8)


QUICK = settings(
    max_examples=10,
    phases=[Phase.generate],  # a failure is shown as it was drawn: shrinking takes minutes
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@QUICK
@given(data=st.data())
def test_every_image_is_used_once_or_said_to_be_left_out(data: st.DataObject) -> None:
    one_layout(data)


@pytest.mark.slow
@settings(QUICK, max_examples=250)
@given(data=st.data())
def test_so_it_is_for_many_layouts(data: st.DataObject) -> None:
    one_layout(data)


def one_layout(data: st.DataObject) -> None:
    with own_folder() as folder:
        made, spec = asked(data.draw, folder)
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                run_check(spec, made.source, None)
        except UserError as error:
            if not TOO_LITTLE.search(str(error)):
                raise
            event("refused")
            return
        event("cut")
        prepared = prepare(made.dataset, made.source, 8)
        labels_are_those_of_the_pixels(made, prepared)
        said = " ".join(printed.getvalue().split())
        everything_is_counted(made, said)
        splits_are_sound(made, spec, prepared)


def labels_are_those_of_the_pixels(made: Made, prepared: Any) -> None:
    table = prepared.table
    shown = [table.class_names[label] for label in table.labels]
    assert dict(zip(table.image_ids, shown, strict=True)) == made.label
    means = prepared.read(np.arange(len(table))).reshape(len(table), -1, 3).mean(axis=1)
    colours = np.abs(means[:, None] - np.array(COLOURS)[None]).sum(axis=2).argmin(axis=1)
    of_class = {(name, int(colour)) for name, colour in zip(shown, colours, strict=True)}
    assert len(of_class) == len(set(shown)) == len({colour for _, colour in of_class})


def number(pattern: str, said: str) -> int:
    match = re.search(pattern, said)
    return int(match[1].replace(",", "")) if match else 0


def everything_is_counted(made: Made, said: str) -> None:
    used = sum(number(rf"(\d+) {split}", said) for split in ("train,", "val,", "test split hash"))
    in_none = number(r"(\d+) images? in no split", said)
    unlisted = number(r"(\d+) of \d+ images in the folder are not listed", said)
    dropped = number(r"(\d+) images are left out by --rare-classes drop", said)
    assert number(r"(\d+) of \d+ samples are left out", said) == made.n_without
    if made.dataset != "folder":
        assert used + in_none == len(made.label)
        assert dropped == made.n_dropped
        return
    files = [file for file in made.root.rglob("*") if file.is_file() and file.name[0] != "."]
    n_there = sum(file.suffix != ".txt" for file in files)
    assert used + in_none + unlisted + dropped == n_there, said
    assert (unlisted, dropped) == (made.n_unlisted, made.n_dropped)
    assert number(r"(\d+) listed ones missing", said) == made.n_absent
    texts = len(files) - n_there
    assert number(r"(\d+) of \d+ files are left out", said) == texts


def splits_are_sound(made: Made, spec: TaskSpec, prepared: Any) -> None:
    table = prepared.table
    split = cut(table, spec, made.source)
    parts = {"train": split.train, "val": split.val, "test": split.test}
    groups = {part: {table.groups[row] for row in rows} for part, rows in parts.items()}
    for image_id, group in zip(table.image_ids, table.groups, strict=True):
        assert group == (made.patient.get(image_id) or f"image:{image_id}")
    if made.declared:
        used = {part: {table.image_ids[row] for row in rows} for part, rows in parts.items()}
        declared = {part: {i for i in made.label if made.split[i] == part} for part in parts}
        assert used["test"] == declared["test"]
        if declared["val"]:
            assert used == declared
        else:  # a fifth of train, by group
            assert used["train"] | used["val"] == declared["train"]
            assert groups["train"].isdisjoint(groups["val"])
        return
    assert groups["train"].isdisjoint(groups["val"] | groups["test"])
    assert groups["val"].isdisjoint(groups["test"])
