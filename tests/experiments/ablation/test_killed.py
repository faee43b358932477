"""A real ablation through the command line and Ray: killed, it goes on where it was."""

import csv
import os
import signal
import subprocess
import sys

import pytest
from drill import family, finish, rows_on_disk, wait_for

pytestmark = pytest.mark.slow

TOY = """
base: crt
mode: full
toggles:
  decay: {without: {training.weight_decay: 0}}
  crt: {without: {calibration: none}}
"""


def start(folder, *options):
    (folder / "toy.yaml").write_text(TOY)
    arguments = (
        f"ablate {folder}/toy.yaml --dataset synthetic --image-size 16 --imbalance-factor 10 "
        f"--n-max 40 --epochs 1 --seeds 2 --set crt.n_epochs=2 --results {folder}/results"
    )
    main = "from lmd_bench.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", main, *arguments.split(), *options],
        env=os.environ | {"LMD_BENCH_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_killed_ablation_goes_on_and_its_table_is_complete(tmp_path):
    results, out = tmp_path / "results", tmp_path / "table.csv"
    process = start(tmp_path)
    wait_for(lambda: len(rows_on_disk(results)) >= 3)
    for pid in reversed(family(process.pid)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()
    before = rows_on_disk(results)
    said = finish(start(tmp_path, "--format", "csv", "--out", str(out)))
    assert f"{12 - len(before)} run now, {len(before)} before" in said
    after = rows_on_disk(results)
    assert {key: after[key] for key in before} == before  # none was written again
    assert len(after) == 4 * (1 + 2)  # four cells, of which two are the stage 1 of the others
    with out.open() as file:
        lines = list(csv.DictReader(file))
    assert [line["status"] for line in lines if line["kind"] == "cell"] == ["ok"] * 4
    assert sum(line["kind"] == "shapley" for line in lines) == 2
