"""What `evaluate` left in a folder stands in the report, as the command tells it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.core.schema import TaskSpec, TrialContext
from lmd_bench.data.corruptions import CORRUPTIONS, STRENGTHS
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY
from lmd_bench.report.blocks import Figure, Heading, Listing, Section
from lmd_bench.report.context import read_context
from lmd_bench.report.page import page, sections
from lmd_bench.stats.metrics import evaluate
from lmd_bench.store.rows import Row, make_row, spec_of
from lmd_bench.store.store import Store, open_store
from tests.report.conftest import CLASSES, GROUPS, LABELS, TIME, confirm, make_trial


def judge(store: Store, run: Row, name: str, wrong: int, task: TaskSpec, **columns) -> None:
    """Write the row of a run on other images, of which the first `wrong` are taken for others."""
    spec = replace(
        spec_of(run),
        task=task,
        task_fingerprint=run["task_fingerprint"] if columns else "e" * 20,
        phase="corrupted" if columns else "external",
        study=f"there/{run['method']}/{name}-of-{run['key']}",
    )
    z = np.zeros((len(LABELS), len(CLASSES)), dtype=np.float32)
    z[
        np.arange(len(LABELS)), np.where(np.arange(len(LABELS)) < wrong, (LABELS + 1) % 3, LABELS)
    ] = 2.0
    same = {name: run[name] for name in ("class_names", "class_counts", "groups")}
    scores = {f"test_{n}": value for n, value in evaluate(LABELS, z, tuple(GROUPS)).items()}
    row = make_row(
        *(spec, TrialContext(Path(), source_key=run["key"])),
        **{"status": "ok", "seconds": 1.0, "standalone_seconds": 1.0},
        **{"started_at": TIME, "finished_at": TIME, **same, **scores, **columns},
    )
    images = [(f"{name}{i}", "test", int(y), z[i].tolist()) for i, y in enumerate(LABELS)]
    store.write(row, images)


@pytest.fixture(scope="module")
def section(tmp_path_factory: pytest.TempPathFactory) -> Section:
    root = tmp_path_factory.mktemp("elsewhere")
    store = open_store(root, create=True)
    trial = make_trial("crt", 0, 0.5)
    store.write(trial)
    for seed in (1, 2):
        confirm(store, trial, seed, wrong=seed)
    for run in [row for row in store.rows() if row["phase"] == "confirm"]:
        judge(store, run, "external", 4, TaskSpec("other", "external", image_size=32))
        for kind in CORRUPTIONS:
            for strength in STRENGTHS:
                judge(
                    *(store, run, f"{kind}-{strength}-draws-0", strength, spec_of(run).task),
                    corruption=kind,
                    strength=strength,
                )
    context = read_context(root, VAL_BALANCED_ACCURACY)
    (made,) = sections(context, ["elsewhere"])
    assert "On other images" in page(context, ["elsewhere"])
    return made


def test_another_data_set_and_corrupted_images_have_a_heading_and_tables(section: Section) -> None:
    heads = [block.text for block in section.blocks if isinstance(block, Heading)]
    assert [head.split(": ")[1] for head in heads] == ["other", "corrupted test images"]
    tables = [block.table for block in section.blocks if isinstance(block, Listing)]
    method, own, there, gap, runs = (cell.text.split(" ")[0] for cell in tables[0].rows[0].cells)
    # own: 1 and 2 of 4 nevi wrong; there: all 4
    assert (method, runs) == ("crt", "2")
    assert float(own) == pytest.approx(100 * (11 / 12 + 10 / 12) / 2, abs=0.05)
    assert float(there) == pytest.approx(100 * 2 / 3, abs=0.05)
    assert float(gap) == pytest.approx(float(there) - float(own), abs=0.11)
    assert "Mean recall in % over 3 classes" in tables[0].caption


def test_a_sweep_has_a_curve_with_a_line_for_each_corruption(section: Section) -> None:
    (figure,) = (block for block in section.blocks if isinstance(block, Figure))
    assert [key.label for key in figure.legend] == [*CORRUPTIONS, "mean of all"]
    (picture,) = figure.pictures
    assert picture.method == "crt"
    assert picture.svg.count('class="curve"') >= len(CORRUPTIONS)
    assert "--corrupt" in figure.command


def test_a_folder_without_evaluations_has_no_such_section(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    store.write(make_trial("crt", 0, 0.5))
    assert not sections(read_context(tmp_path, VAL_BALANCED_ACCURACY), ["elsewhere"])
