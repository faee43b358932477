"""An ablation from its file to its table over a real store, with a worker that only writes rows."""

import csv
import json
from io import StringIO

import pytest
import yaml
from fake_worker import run_all

from lmd_bench.cli.emit import write
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, keyed
from lmd_bench.experiments.ablation.analysis import read_ablations
from lmd_bench.experiments.ablation.design import build
from lmd_bench.experiments.ablation.document import parse_document
from lmd_bench.experiments.ablation.estimate import seconds_of, work_of
from lmd_bench.experiments.ablation.record import read_records, write_record
from lmd_bench.experiments.ablation.run import base_config_from, record_of, search_request
from lmd_bench.experiments.ablation.tables import render
from lmd_bench.leaderboard.board import load
from lmd_bench.leaderboard.studies.read import read_rows
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY
from lmd_bench.report.context import read_context
from lmd_bench.report.sections.ablations import section as ablations
from lmd_bench.search.queue import JobQueue
from lmd_bench.search.sources import Searched
from lmd_bench.store.store import open_store

TASK = (TaskSpec("synthetic", imbalance_factor=20.0, image_size=32), "f" * 20)
TEXT = """
title: Toy
base: lmd
mode: full
toggles:
  batch: {title: L_batch, without: {rrl.batch_loss_weight: 0}}
  gce: {title: GCE, without: {icc.estep_gce_grad: false}}
"""


@pytest.fixture
def started(tmp_path):
    """Return an ablation of four cells: its design, its request, its store."""

    def start(text=TEXT, **options):
        design = build(parse_document(yaml.safe_load(text), "toy"), **options)
        request = search_request(
            design,
            tasks=(TASK,),
            results=tmp_path,
            n_epochs=2,
            confirm_seeds=2,
            command="lmd-bench ablate toy.yaml",
        )
        store = open_store(tmp_path, create=True)
        write_record(tmp_path, record_of(design, request))
        return design, request, store

    return start


def lines(results, kind):
    text = render(read_ablations(results), "csv")
    return {r["name"]: r for r in csv.DictReader(StringIO(text)) if r["kind"] == kind}


def test_each_cell_runs_once_and_is_confirmed_on_the_same_seeds(started):
    design, request, store = started()
    ran = run_all(JobQueue(Searched(request), store), store)
    rows = store.rows()
    cells = {cell.name for cell in design.cells}
    helpers = {row["method"] for row in rows} - cells  # they train the two encoders
    assert helpers == {"rrl+none"}
    assert len(ran) == len(rows) == 2 + 4 * (1 + 2)
    by_cell = {
        c: {r["seed"] for r in rows if (r["method"], r["phase"]) == (c, "confirm")} for c in cells
    }
    assert len(set(map(frozenset, by_cell.values()))) == 1


def test_a_stopped_ablation_goes_on_and_repeats_nothing(started):
    _, request, store = started()
    before = run_all(JobQueue(Searched(request), store), store, most=5)
    after = run_all(JobQueue(Searched(request), store), store)
    assert not set(before) & set(after)
    assert len(before) + len(after) == 14
    assert run_all(JobQueue(Searched(request), store), store) == []


def test_planted_effects_come_out_of_the_table(started, tmp_path):
    _, request, store = started()
    run_all(JobQueue(Searched(request), store), store)
    mains = lines(tmp_path, "main")
    for name, planted in {"batch": 0.2, "gce": 0.1}.items():
        found = float(mains[name]["balanced_accuracy_change"])
        assert found == pytest.approx(planted, abs=0.08)
        assert float(mains[name]["balanced_accuracy_change_images_low"]) < planted
        assert float(mains[name]["balanced_accuracy_change_images_high"]) > planted
    shares = lines(tmp_path, "shapley")
    total = lines(tmp_path, "total")["all"]
    whole = float(total["balanced_accuracy_change"])
    parts = [float(line["balanced_accuracy_change"]) for line in shares.values()]
    assert sum(parts) == pytest.approx(whole)
    assert sum(float(line["share"]) for line in shares.values()) == pytest.approx(1.0)


def test_a_change_is_the_difference_of_the_means_over_the_same_seeds(started, tmp_path):
    _, request, store = started()
    run_all(JobQueue(Searched(request), store), store)
    cells = lines(tmp_path, "cell")
    for name, line in cells.items():
        if name == "lmd-all":
            assert line["balanced_accuracy_change"] == ""
            continue
        for score in ("balanced_accuracy", "macro_f1", "few_recall"):
            expected = float(line[f"test_{score}"]) - float(cells["lmd-all"][f"test_{score}"])
            assert float(line[f"{score}_change"]) == pytest.approx(expected)


def test_a_failed_cell_keeps_its_line_and_leaves_the_effects_undefined(started, tmp_path):
    _, request, store = started()
    fails = lambda job: "diverged" if job.spec.method == "lmd-no-gce" else "ok"  # noqa: E731
    run_all(JobQueue(Searched(request), store), store, status=fails)
    cells = lines(tmp_path, "cell")
    assert len(cells) == 4
    assert cells["lmd-no-gce"]["status"] == "failed"
    assert cells["lmd-no-gce"]["test_balanced_accuracy"] == ""
    assert {c["status"] for name, c in cells.items() if name != "lmd-no-gce"} == {"ok"}
    for kind in ("main", "interaction", "shapley"):
        for line in lines(tmp_path, kind).values():
            assert line["balanced_accuracy_change"] == ""
            assert line["reason"] == "no result of lmd-no-gce (failed)"
    text = render(read_ablations(tmp_path), "table")
    assert "failed: lmd-no-gce (1 diverged, loss nan in epoch 1)." in text


def test_a_cell_whose_stage_1_failed_is_failed_too(started, tmp_path):
    _, request, store = started()
    fails = lambda job: "oom" if job.spec.method == "rrl+none" else "ok"  # noqa: E731
    run_all(JobQueue(Searched(request), store), store, status=fails)
    cells = lines(tmp_path, "cell").values()
    assert {line["status"] for line in cells} == {"failed"}
    assert "its stage 1 gave no encoder" in render(read_ablations(tmp_path), "table")


def test_a_cell_that_was_not_run_is_missing_and_the_command_is_named(started, tmp_path):
    _, request, store = started()
    run_all(JobQueue(Searched(request), store), store, most=8)
    cells = lines(tmp_path, "cell")
    assert len(cells) == 4
    assert "missing" in {line["status"] for line in cells.values()}
    text = render(read_ablations(tmp_path), "table")
    assert "what is not run yet is run by: lmd-bench ablate toy.yaml." in text


def test_a_tuned_cell_gets_its_trials_and_starts_where_the_base_config_says(started):
    text = TEXT + "base_config: {training.lr: 0.02, icc.em_epochs: 2}\n"
    _, request, store = started(text, retune=3)
    run_all(JobQueue(Searched(request), store), store)
    for name in ("lmd-all", "lmd-none"):
        rows = [r for r in store.rows() if (r["method"], r["phase"]) == (name, "search")]
        configs = [
            json.loads(r["config_json"]) for r in sorted(rows, key=lambda r: r["trial_number"])
        ]
        assert len(configs) == 3
        assert [c["icc.em_epochs"] for c in configs[:2]] == [3, 2]
        weight = {c["rrl.batch_loss_weight"] for c in configs}
        assert (weight == {0.0}) == (name == "lmd-none")


def test_what_is_left_is_counted_and_priced_by_the_rows_of_the_task(started):
    _, request, store = started()
    work = work_of(request, JobQueue(Searched(request), store))
    assert (work.n_trials, work.n_encoders, work.n_stored) == (14, 2 * 3, 0)
    assert seconds_of(work, [])[1] == ["none", "rrl", "icc"]
    rows = [
        {"status": "ok", "task_fingerprint": TASK[1], "representation": "rrl", "calibration": c}
        | {"seconds": seconds, "standalone_seconds": seconds + 10.0, "n_epochs": 1}
        for c, seconds in (("none", 1.0), ("icc", 4.0))
    ]
    # 2 trials of none at 1 s, 12 of icc at 4 s, 6 encoders of 2 epochs at 10 s an epoch
    assert seconds_of(work, rows) == (2 * 1.0 + 12 * 4.0 + 6 * 20.0, [])
    run_all(JobQueue(Searched(request), store), store)
    assert work_of(request, JobQueue(Searched(request), store)).n_trials == 0


def test_the_base_config_of_an_earlier_folder_is_its_best_on_val(started, tmp_path):
    design, request, store = started(retune=2)
    run_all(JobQueue(Searched(request), store), store)
    found = base_config_from(tmp_path, design.cells[0].method, [TASK[1]])
    # which cell of the pair had the latest study is left open: fake scores follow from keys
    stored = [json.loads(row["config_json"]) for row in store.rows()]
    assert keyed(found) in stored
    assert "icc.eps" in found
    with pytest.raises(UserError, match="hold no finished search trial of lmd-all on this task"):
        base_config_from(tmp_path, design.cells[0].method, ["0" * 20])
    with pytest.raises(UserError, match="2 came"):
        base_config_from(tmp_path, design.cells[0].method, ["0" * 20, "1" * 20])


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "csv", "json"])
def test_every_format_holds_every_cell_and_can_be_written(started, tmp_path, form):
    design, request, store = started()
    run_all(JobQueue(Searched(request), store), store)
    out = tmp_path / "table.txt"
    write(render(read_ablations(tmp_path, "toy"), form), out)
    text = out.read_text()
    for cell in design.cells:
        title = cell.title.replace("_", "\\_") if form == "latex" else cell.title
        assert title in text
    if form == "json":
        assert len(json.loads(text)["rows"]) == 4 + 2 + 1 + 2 + 1


def test_a_narrow_terminal_drops_columns_and_says_so(started, tmp_path):
    _, request, store = started()
    run_all(JobQueue(Searched(request), store), store)
    text = render(read_ablations(tmp_path), "table", width=80)
    assert "Too narrow for: Alone" in text


def test_records_are_found_by_name_and_a_spoiled_one_is_refused(started, tmp_path):
    started()
    assert [record.name for record in read_records(tmp_path)] == ["toy"]
    with pytest.raises(UserError, match="Unknown ablation in these results 'toys'"):
        read_records(tmp_path, "toys")
    with pytest.raises(UserError, match="There is no ablation in"):
        read_records(tmp_path / "none")
    (tmp_path / "ablations" / "bad.json").write_text('{"version": 0}')
    with pytest.raises(UserError, match="run the ablation again"):
        read_records(tmp_path)


def test_no_seed_leaves_nothing_to_compare(started):
    design, _, _ = started()
    with pytest.raises(UserError, match="nothing to compare"):
        search_request(design, confirm_seeds=0)


def test_tables_of_methods_leave_cells_out_and_say_so(started, tmp_path):
    _, request, store = started()
    run_all(JobQueue(Searched(request), store), store)
    board = load(tmp_path)
    assert board.frame.empty  # the helper of stage 1 is not confirmed
    assert "left out: 4 cells of ablations; lmd-bench ablate --table shows them" in board.notes
    assert {row["method"] for row in read_rows(tmp_path, VAL_BALANCED_ACCURACY)[1]} == {"rrl+none"}


def test_the_report_has_a_section_for_ablations(started, tmp_path):
    design, request, store = started()
    assert ablations(read_context_after(store, request, most=4)) is not None
    run_all(JobQueue(Searched(request), store), store)
    section = ablations(read_context(tmp_path, VAL_BALANCED_ACCURACY))
    tables = [block.table for block in section.blocks if block.kind == "listing"]
    assert [len(table.rows) for table in tables] == [4, 2, 1, 3]  # cells, main, interaction, shares
    assert {row.cells[0].text for row in tables[0].rows} == {cell.title for cell in design.cells}
    (figure,) = (block for block in section.blocks if block.kind == "figure")
    assert figure.command == f"lmd-bench ablate toy --table --results {tmp_path}"
    assert figure.pictures[0].svg.count('class="s0"') == 3  # the reference has no difference


def read_context_after(store, request, most):
    run_all(JobQueue(Searched(request), store), store, most=most)
    return read_context(store.root, VAL_BALANCED_ACCURACY)
