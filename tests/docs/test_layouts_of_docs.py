"""The layouts of docs/data.md: each is made, and its two commands take it."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmd_bench.cli import app
from lmd_bench.core import machine as hardware
from lmd_bench.data.datasets import load
from tests.data.datasets.archives import rows, samples, write_saved, write_tar
from tests.data.datasets.layouts import write_npz
from tests.docs.blocks import ALL

MARK = "not run: needs images in this layout"
BLOCKS = [block for block in ALL if block.mark == MARK]
SPLITS = ("train", "val", "test")


def picture(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def flat(classes=("mel", "nv"), n: int = 14) -> list[tuple[str, str]]:
    names = [(f"i{n * k + i}", name) for k, name in enumerate(classes) for i in range(n)]
    for seed, (name, _) in enumerate(names):
        picture(Path(f"IMAGES/{name}.png"), seed)
    return names


def by_class(*splits: str) -> None:
    for k, name in enumerate(("mel", "nv")):
        for i in range(14):
            picture(
                Path("IMAGES", *splits[i % max(1, len(splits)) :][:1], name, f"{i}.png"), 14 * k + i
            )


def table(file: str, header: str, lines: list[str]) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("\n".join([header, *lines]).lstrip("\n") + "\n")


def by_patient() -> None:
    table("labels.csv", "file,diagnosis,patient", [f"{i},{c},p{i[:-1]}{c}" for i, c in flat(n=40)])


def by_split_column() -> None:
    lines = [f"{i},{c},{SPLITS[n % 3]}" for n, (i, c) in enumerate(flat())]
    table("labels.csv", "file,diagnosis,split", lines)


def one_hot() -> None:
    classes = ("MEL", "NV", "BCC")
    lines = [f"{i},{','.join(str(float(c == n)) for n in classes)}" for i, c in flat(classes)]
    table("truth.csv", "image,MEL,NV,BCC", lines)


def lists() -> None:
    names = flat()
    for n, split in enumerate(("train", "valid", "test")):
        lines = [f"{i}.png {int(c == 'nv')}" for i, c in names[n::3]]
        table(f"IMAGES/{split}.txt", "", lines)


def csvs() -> None:
    names = flat()
    for n, split in enumerate(("train", "valid", "test")):
        table(f"LISTS/{split}.csv", "id_code,diagnosis", [f"{i},{c}" for i, c in names[n::3]])


def medmnist() -> None:
    Path("MEDMNIST").mkdir()
    write_npz(Path("MEDMNIST/dermamnist.npz"), 7)


def ham10000() -> None:
    lines: list[str] = []
    for k, name in enumerate(load("ham10000").card.class_names):
        for i in range(14):
            picture(Path(f"HAM10000/HAM10000_images_part_1/ISIC_{k}{i:02}.jpg"), 14 * k + i)
            lines.append(f"HAM_{k}{i:02}\tISIC_{k}{i:02}\t{name}")
    table("HAM10000/HAM10000_metadata.tab", "lesion_id\timage_id\tdx", lines)


def shards() -> None:
    for part in range(2):
        write_tar(Path(f"SHARDS/{part:04d}.tar"), samples(("mel", "nv"), 10))


def saved() -> None:
    for split in SPLITS:
        patients = [f"{split}{i // 2}" for i in range(20)]
        write_saved(Path("SAVED", split), rows(("mel", "nv"), 10) | {"patient": patients})


MAKERS = (
    by_class,
    lambda: by_class("train", "val", "test"),
    lambda: by_class("train", "val"),
    by_patient,
    by_split_column,
    one_hot,
    lists,
    csvs,
    medmnist,
    ham10000,
    shards,
    saved,
)


def test_each_layout_has_two_commands():
    assert [len(block.commands) for block in BLOCKS] == [2] * len(MAKERS)


@pytest.mark.parametrize("number", range(len(MAKERS)))
def test_the_two_commands_of_a_layout_take_it(number: int, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hardware, "n_cores", lambda: 1)
    MAKERS[number]()
    for command in BLOCKS[number].commands:
        words = [*shlex.split(command)[1:], "--image-size", "16"]
        if words[0] == "search":
            words += ["--method", "cross_entropy", "--dry-run"]
        # check finds classes too small to judge in so few images
        assert (app(words, standalone_mode=False) or 0) == (words[0] == "check")
    assert "train" in capsys.readouterr().out
