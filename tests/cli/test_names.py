"""Names that rich would take for markup or for an emoji are printed as they are."""

import numpy as np
import pytest
from PIL import Image

from lmd_bench.cli import app
from lmd_bench.cli.search import _print_trial
from lmd_bench.core import machine as hardware

NAMES = ("nevus [/junctional]", "benign [flat]", "[red]", ":heart:", "ends \\", "[bold")


@pytest.fixture(autouse=True)
def _wide(tmp_path, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(hardware, "n_cores", lambda: 1)


def test_check_prints_names_of_classes_and_patients_as_they_are(tmp_path, capsys):
    names = [f"c{i}" for i in range(len(NAMES))]
    rng = np.random.default_rng(0)
    lines = ["file,label,patient,split"]
    for name, label in zip(names, NAMES, strict=True):
        for i in range(6):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{name}_{i}.png")
            split = ("train", "train", "val", "val", "test", "test")[i]
            lines.append(f"{name}_{i}.png,{label},{label} {i // 4},{split}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    options = ["--data-root", tmp_path, "--images-csv", tmp_path / "labels.csv"]
    options += ["--image-column", "file", "--label-column", "label", "--group-column", "patient"]
    options += ["--split-column", "split", "--protocol", "official", "--image-size", "16"]
    exits = app(["check", "--dataset", "folder", *map(str, options)], standalone_mode=False)
    assert exits == 1
    text = capsys.readouterr().out
    small = next(line for line in text.splitlines() if "too few to judge" in line)
    table = text[text.index("one test image") :]
    assert all(name in small and name in table for name in NAMES)
    # Each first patient is in train and in val; five of them are named.
    crossing = next(line for line in text.splitlines() if "in both train and val" in line)
    assert sum(f"{name} 0" in crossing for name in NAMES) == 5


def test_train_prints_names_of_classes_as_they_are(capsys):
    row = {
        "status": "ok", "method": "crt", "dataset": "folder", "seed": 0, "class_names": NAMES,
        "val_recall": [0.5] * len(NAMES), "val_balanced_accuracy": 0.5, "val_macro_f1": 0.5,
        "val_many_recall": 0.5, "val_medium_recall": 0.5, "val_few_recall": 0.5,
        "best_epoch": 1, "seconds": 1.0, "key": "k",
    }  # fmt: skip
    _print_trial(row)
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} 50" in text for name in NAMES)


def test_numbers_of_classes_are_shown_in_their_order(capsys):
    names = [str(i) for i in (0, 1, 10, 11, *range(2, 10))]
    row = {
        "status": "ok", "method": "crt", "dataset": "folder", "seed": 0, "class_names": names,
        "val_recall": [int(name) / 100 for name in names], "val_balanced_accuracy": 0.5,
        "val_macro_f1": 0.5, "val_many_recall": 0.5, "val_medium_recall": 0.5,
        "val_few_recall": 0.5, "best_epoch": 1, "seconds": 1.0, "key": "k",
    }  # fmt: skip
    _print_trial(row)
    text = " ".join(capsys.readouterr().out.split())
    assert ", ".join(f"{i} {i}" for i in range(12)) in text


def test_the_cause_of_a_failed_trial_is_printed_as_it_is(capsys):
    _print_trial({"status": "failed", "cause": "OSError: [Errno 5] [/data] is away"})
    assert "failed: OSError: [Errno 5] [/data] is away" in capsys.readouterr().out
