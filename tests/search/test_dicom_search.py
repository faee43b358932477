"""DICOM files of two patients through check, search and leaderboard: nobody's name is left."""

import sys
from pathlib import Path

import numpy as np
import pytest
from drill import PATIENCE, finish, start

from lmd_bench.store.store import open_store
from tests.data.datasets.dicom import NAMES, WORDS, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * PATIENCE)]
N = 16  # images of each patient
PARTS = ("train", "train", "train", "train", "val", "val", "test", "test")


def scans(root: Path) -> list[str]:
    """Write images of two patients below folders and names that tell whose they are, and a CSV."""
    rng = np.random.default_rng(0)
    lines = ["file,finding,patient,part"]
    for patient, name in NAMES.items():
        folder = name.replace("^", "_")
        for i in range(N):
            file = f"{folder}/{i}.dcm" if i % 3 else f"all/{patient}-{i}.dcm"
            bright = 500 + 1500 * (i % 2)
            write(root / file, bright + rng.integers(0, 900, (16, 16)), patient)
            lines.append(f"{file},{'ab'[i % 2]},{patient},{PARTS[i // 2]}")
    (root / "labels.csv").write_text("\n".join(lines))
    return [
        *("--dataset", "folder", "--data-root", str(root), "--images-csv", f"{root}/labels.csv"),
        *("--image-column", "file", "--label-column", "finding", "--split-column", "part"),
        *("--protocol", "official", "--image-size", "16"),
    ]


def texts_of(folder: Path) -> dict[Path, bytes]:
    """Return the bytes of every file, and those of what Parquet files hold compressed."""
    import pyarrow.parquet as pq

    texts = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for file in list(texts):
        if file.suffix == ".parquet":
            table = pq.read_table(file)
            texts[file] += repr([table.to_pylist(), table.schema.metadata]).encode()
    return texts


@pytest.mark.parametrize("groups", [(), ("--group-column", "patient")])
def test_no_name_and_no_id_of_a_patient_is_left_anywhere(tmp_path, groups):
    asked = [*scans(tmp_path / "scans"), *groups]
    results, cache = tmp_path / "results", tmp_path / "cache"

    def run(command: str, *options: str, code: int = 0) -> str:
        import os
        import subprocess

        main = "from lmd_bench.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", main, command, *options],
            env=os.environ | {"LMD_BENCH_CACHE": str(cache)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return finish(process, code)

    # Both patients are in all three parts, which check finds and tells of by hashes.
    said = run("check", *asked, "--split-out", str(tmp_path / "split"), code=1)
    assert "2 groups in both train and val" in said
    quick = "--method crt --trials 2 --epochs 1 --confirm-seeds 1 --set crt.n_epochs=1"
    said += finish(start(results, cache, 2, *asked, asked=f"search {quick}"))
    said += run("leaderboard", "--results", str(results))
    said += run("report", "--results", str(results), "--out", str(results / "report.html"))
    rows = open_store(results).rows()
    assert {row["phase"] for row in rows if row["status"] == "ok"} == {"search", "confirm"}

    found = texts_of(results) | texts_of(cache) | texts_of(tmp_path / "split")
    assert any(file.suffix == ".parquet" for file in found)
    for word in WORDS:
        assert word not in said
        assert [file for file, text in found.items() if word.encode() in text] == []
