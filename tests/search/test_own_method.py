"""A method in a folder of its own, through everything that a method of the package goes through."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from drill import PATIENCE, family, finish, wait_for
from test_nodes import environment, two_nodes

from lmd_bench.store.store import open_store

__all__ = ["environment"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * PATIENCE)]

PACKAGE = Path(__file__).parents[2] / "lmd_bench"
SEARCH = (
    "search --dataset synthetic --image-size 16 --n-max 60 --imbalance-factor 5 --epochs 1 "
    "--trials 2 --confirm-seeds 2 --method cross_entropy+mine --deterministic --results results "
    "--plugin mine.py"
)


def start(folder, environment, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "lmd_bench", *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(PACKAGE.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder, environment, *words, code=0):
    return finish(start(folder, environment, *words), code)


def files_of_the_package():
    roots = (PACKAGE, PACKAGE.parent / "search_spaces")
    files = (file for root in roots for file in root.rglob("*") if "__pycache__" not in file.parts)
    return {file: file.stat().st_mtime_ns for file in files if file.is_file()}


def rows_of(folder):
    return [row for row in open_store(folder / "results").rows() if row["calibration"] == "mine"]


def test_a_method_in_an_empty_folder_is_listed_searched_confirmed_reported_and_reproduced(
    tmp_path, environment
):
    before = files_of_the_package()
    run(tmp_path, environment, "new", "calibration", "mine")
    assert len((tmp_path / "mine.py").read_text().splitlines()) <= 42
    assert "mine" in run(tmp_path, environment, "methods", "--plugin", "mine.py")
    run(tmp_path, environment, *SEARCH.split())
    first = rows_of(tmp_path)
    assert {row["phase"] for row in first} == {"search", "confirm"}
    assert all(row["status"] == "ok" for row in first)
    assert all(re.search(r'"mine":"1\+[0-9a-f]{12}"', row["versions_json"]) for row in first)
    assert all('"plugin:mine":"' in row["library_versions_json"] for row in first)
    # the same again: nothing is left to run
    assert "0 run now" in run(tmp_path, environment, *SEARCH.split())
    assert "cross_entropy+mine" in run(tmp_path, environment, "leaderboard", "--results", "results")
    run(tmp_path, environment, "report", "--results", "results", "--out", "report.html")
    assert "cross_entropy+mine" in (tmp_path / "report.html").read_text()
    key = next(row["key"] for row in first if row["phase"] == "confirm")
    again = ("reproduce", key, "--results", "results")
    assert "bit-equal" in run(tmp_path, environment, *again, "--plugin", "mine.py")
    assert "name its file with --plugin" in run(tmp_path, environment, *again, code=2)

    source = (tmp_path / "mine.py").read_text()
    (tmp_path / "mine.py").write_text(source.replace("(2 * medians)", "(2.5 * medians)"))
    said = run(tmp_path, environment, *again, "--plugin", "mine.py", code=2)
    assert "give the file as it was then" in said
    run(tmp_path, environment, *SEARCH.split())
    new = [row for row in rows_of(tmp_path) if row["key"] not in {row["key"] for row in first}]
    assert len(new) == len(first)
    # What the change does not touch is not run again: stage 1.
    assert {row["encoder_key"] for row in new} <= {row["encoder_key"] for row in first}
    assert files_of_the_package() == before


def test_a_method_runs_on_nodes_that_do_not_see_its_file(tmp_path, environment):
    run(tmp_path, environment, "new", "calibration", "mine")
    with two_nodes(environment) as (address, raylets):
        search = start(tmp_path, environment, *SEARCH.split(), "--address", address)
        # The search has read the files by the time that it says what it will do.
        wait_for(lambda: search.poll() is not None or (tmp_path / "results/store.json").is_file())
        (tmp_path / "mine.py").unlink()
        (tmp_path / "mine.yaml").unlink()
        of_node: dict[int, int] = {}  # process -> its raylet

        def over():
            for raylet in raylets:
                of_node.update(dict.fromkeys(family(raylet), raylet))
            time.sleep(0.2)
            return search.poll() is not None

        wait_for(over)
        finish(search)
    rows = rows_of(tmp_path)
    assert len(rows) >= 4  # two trials, and the selected config on two seeds
    assert all(row["status"] == "ok" for row in rows)
    logs = [tmp_path / "results/logs/trials" / f"{row['key']}.log" for row in rows]
    processes = [int(re.findall(r"process (\d+)", log.read_text())[-1]) for log in logs]
    assert {of_node[process] for process in processes} == set(raylets)
