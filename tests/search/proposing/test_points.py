"""Points to try: run right after the default, within the budget; refused with a sentence."""

import json

import pytest
from memory_search import MemoryStore, queue_of, run_all

from lmd_bench.core.errors import UserError
from lmd_bench.search.proposing.points import read_points

POINTS = ({"training.lr": 0.02, "crt.lr": 0.5}, {"training.lr": 0.1})


def _configs(store: MemoryStore, method: str) -> list[dict]:
    rows = [r for r in store.rows() if r["method"] == method and r["phase"] == "search"]
    ordered = sorted(rows, key=lambda row: row["trial_number"])
    return [json.loads(row["config_json"]) for row in ordered]


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "qmc"])
def test_points_follow_the_default_in_the_studies_that_search_their_keys(ask, sampler: str):
    store = MemoryStore()
    request = ask("crt", n_trials=4, top_k=4, points=POINTS, sampler=sampler)
    queue = queue_of(request, store)
    run_all(queue, store)
    assert queue.finished
    stage1, crt = _configs(store, "cross_entropy"), _configs(store, "crt")
    assert (len(stage1), len(crt)) == (4, 4)
    assert [config["training.lr"] for config in stage1[:3]] == [0.05, 0.02, 0.1]
    left_out = {key: value for key, value in stage1[1].items() if key != "training.lr"}
    assert left_out == {key: stage1[0][key] for key in left_out}
    # The calibration study has one point, on the encoder that the same point trained.
    assert (crt[1]["crt.lr"], crt[1]["training.lr"]) == (0.5, 0.02)


def test_a_search_with_points_resumes_and_is_another_study(ask):
    request = ask("crt", n_trials=5, points=POINTS)
    store = MemoryStore()
    whole = [job.key for job in run_all(queue_of(request, store), store)]
    for cut in range(1, len(whole), 3):
        part = MemoryStore()
        run_all(queue_of(request, part), part, most=cut)
        run_all(queue_of(request, part), part)
        assert set(part.by_key) == set(whole)
    plain = queue_of(ask("crt", n_trials=5), MemoryStore())
    assert not set(plain.studies) & set(queue_of(request, MemoryStore()).studies)


def test_a_point_equal_to_the_default_is_not_run_twice(ask):
    store = MemoryStore()
    run_all(queue_of(ask("cross_entropy", points=({"training.lr": 0.05},)), store), store)
    keys = [row["key"] for row in store.rows() if row["phase"] == "search"]
    assert len(keys) == len(set(keys)) == 4


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"points": ({"training.rl": 0.1},)}, "Unknown searched setting 'training.rl'"),
        ({"points": ({"vfc.eps": 0.1},)}, "Unknown searched setting 'vfc.eps'"),
        ({"points": ({"training.lr": 1e6},)}, "lies outside its range"),
        ({"points": ({"training.lr": "fast"},)}, "takes one float"),
        (
            {"points": ({"crt.lr": 0.5},), "ranges": {"training.lr": "0.1:0.2"}},
            "leaves out training.lr, whose default for crt, 0.05",
        ),
        (
            {"points": ({"training.lr": 0.02},), "overrides": {"training.lr": 0.1}},
            "Unknown searched setting 'training.lr'",
        ),
    ],
)
def test_a_point_outside_the_space_is_refused(ask, fields, sentence: str):
    with pytest.raises(UserError, match=sentence):
        ask("crt", **fields)


def test_a_file_of_points_is_read(tmp_path):
    file = tmp_path / "points.yaml"
    file.write_text("- {training.lr: 0.02, crt.lr: 0.5}\n- training.lr: 0.1\n")
    assert read_points(file) == POINTS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("training.lr: 0.1", "is not a list of points"),
        ("- 0.1", "is not a list of points"),
        ("", "is not a list of points"),
        ("- {a: [", "is not YAML"),
    ],
)
def test_what_is_no_list_of_points_is_refused(tmp_path, text: str, sentence: str):
    file = tmp_path / "points.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_points(file)
    with pytest.raises(UserError, match="cannot be read"):
        read_points(tmp_path / "none.yaml")
