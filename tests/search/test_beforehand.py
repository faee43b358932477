"""What a search computes before its first trial: the views that its trials may draw."""

import pytest
from memory_search import MemoryStore, queue_of, run_all

from lmd_bench.search.beforehand import fill_features
from lmd_bench.training import features

ADAPTER = {"training.tune": "adapter", "training.pretrained": False}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return what features are computed of: stage 1 and augmentation of each trial."""
    trials: list[tuple[str, str]] = []

    def compute(specs, source, **_):
        trials.extend((s.representation, s.config["training.augmentation"]) for s in specs)

    monkeypatch.setattr(features, "compute_features", compute)
    return trials


def test_all_views_that_may_be_drawn_are_computed_before_the_first_trial(ask, asked):
    fill_features(queue_of(ask("crt", overrides=ADAPTER), MemoryStore()), None)
    views = {"strong", "weak", "randaugment", "simaugment"}
    assert {view for _, view in asked} == views


def test_where_trials_are_fewer_than_views_only_the_known_ones_are(ask, asked):
    request = ask("cross_entropy", overrides=ADAPTER, n_trials=3, equal_totals=False)
    fill_features(queue_of(request, MemoryStore()), None)
    assert {view for _, view in asked} == {"strong"}


def test_a_fixed_augmentation_is_the_only_one(ask, asked):
    fixed = {**ADAPTER, "training.augmentation": "weak"}
    fill_features(queue_of(ask("crt", overrides=fixed), MemoryStore()), None)
    assert {view for _, view in asked} == {"weak"}


def test_a_search_that_has_ended_computes_no_more_views(ask, asked):
    store, request = MemoryStore(), ask("cross_entropy", overrides=ADAPTER, confirm_seeds=0)
    run_all(queue_of(request, store), store)
    fill_features(queue_of(request, store), None)
    assert len(asked) == 1


def test_trials_on_images_compute_none(ask, asked):
    fill_features(queue_of(ask("crt"), MemoryStore()), None)
    assert asked == []
