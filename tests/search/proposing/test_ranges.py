"""Ranges of a person: taken in place of the shipped ones, refused with a sentence."""

import json

import pytest
from memory_search import MemoryStore, queue_of, run_all

from lmd_bench.core.errors import UserError
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.space import search_space
from lmd_bench.search.proposing.ranges import parse_ranges, ranged

METHODS = [resolve_method("lmd"), resolve_method("crt")]


def test_a_range_replaces_the_shipped_one_and_keeps_its_scale():
    ranges = parse_ranges(["training.lr=0.01:0.1", "training.batch_size=64,128"], METHODS)
    space = ranged(search_space(("training",)), ranges)
    assert (space["training.lr"].low, space["training.lr"].high) == (0.01, 0.1)
    assert space["training.lr"].log
    assert space["training.batch_size"].choices == (64, 128)
    assert space["training.schedule"] == search_space(("training",))["training.schedule"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("training.lr", "not of the form section.key=low:high"),
        ("training.lr=0.1", "write low:high"),
        ("training.lr=0.1:0.01", "is empty"),
        ("training.lr=0:0.01", "above 0, since it is searched on a logarithmic scale"),
        ("training.lr=a:b", "takes one float"),
        ("training.schedule=cosin,constant", "choose from cosine, constant"),
        ("training.momentum=0.5:0.9", "Unknown searched setting 'training.momentum'"),
        ("vfc.eps=0.1:0.2", "Unknown searched setting 'vfc.eps'"),
    ],
)
def test_what_is_no_range_is_refused(text: str, sentence: str):
    with pytest.raises(UserError, match=sentence):
        parse_ranges([text], METHODS)


def test_every_trial_but_the_default_lies_in_the_range_and_the_study_is_another(ask):
    store, request = MemoryStore(), ask("cross_entropy", n_trials=14, confirm_seeds=0)
    narrow = ask("cross_entropy", n_trials=14, confirm_seeds=0, ranges={"training.lr": "0.1:0.2"})
    queue = queue_of(narrow, store)
    assert not set(queue.studies) & set(queue_of(request, store).studies)
    run_all(queue, store)
    assert queue.finished
    rates = {row["is_default"]: [] for row in store.rows()}
    for row in store.rows():
        rates[row["is_default"]].append(json.loads(row["config_json"])["training.lr"])
    assert rates[True] == [0.05]
    assert all(0.1 <= rate <= 0.2 for rate in rates[False])


def test_a_search_with_ranges_resumes(ask):
    store = MemoryStore()
    request = ask("crt", n_trials=5, ranges={"training.lr": "0.1:0.2", "crt.lr": "0.5:1.0"})
    whole = run_all(queue_of(request, store), store)
    part = MemoryStore()
    run_all(queue_of(request, part), part, most=7)
    run_all(queue_of(request, part), part)
    assert {job.key for job in whole} == set(part.by_key)
