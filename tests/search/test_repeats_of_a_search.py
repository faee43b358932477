"""Which studies repeat one another: those that differ in seed and split seed alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from lmd_bench.core.schema import TaskSpec
from lmd_bench.methods.catalogue import resolve_methods
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.sources import Searched
from lmd_bench.search.staging import study_specs
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store
from tests.store.test_results import MEASURED

REQUEST = SearchRequest(
    methods=tuple(resolve_methods(["crt", "cross_entropy"])),
    tasks=((TaskSpec("synthetic"), "f0"), (TaskSpec("synthetic", split_seed=1), "f1")),
    results=Path("unused"),
)


def repeats(request: SearchRequest) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for study in study_specs(request):
        found.setdefault(study.method.name, set()).add(study.repeat_of)
    return found


def test_studies_of_other_seeds_and_splits_repeat_each_other() -> None:
    first, other = repeats(REQUEST), repeats(replace(REQUEST, seed=7))
    assert first == other
    assert all(len(hashes) == 1 for hashes in first.values())
    assert len({*map(min, first.values())}) == 2  # the two methods do not


@pytest.mark.parametrize(
    "change",
    [
        {"n_epochs": 3},
        {"sampler": "random"},
        {"joint": True},
        {"overrides": {"training.batch_size": 16}},
        {"ranges": {"training.lr": "0.1:0.2"}},
        {"objectives": ("macro_f1",)},
    ],
)
def test_studies_that_search_otherwise_repeat_nothing(change) -> None:
    assert repeats(replace(REQUEST, **change))["crt"].isdisjoint(repeats(REQUEST)["crt"])


def test_a_trial_carries_what_its_study_repeats(tmp_path) -> None:
    source = Searched(replace(REQUEST, results=tmp_path))
    source.read(open_store(tmp_path, create=True))
    job = source.propose()
    assert job is not None
    assert job.context.repeat_of in {study.repeat_of for study in study_specs(REQUEST)}
    row = make_row(job.spec, job.context, **MEASURED)
    assert row["repeat_of"] == job.context.repeat_of
