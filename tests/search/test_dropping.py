"""Encoders are dropped as studies end: none that is asked for later, and the rest."""

from pathlib import Path

import pytest
from memory_search import MemoryStore, queue_of, row_of

from lmd_bench.search.dropping import Dropper
from lmd_bench.search.queue import Signal


class Folder:
    """Runs a search in which each trial trains its encoder unless the folder has it."""

    def __init__(self, request, alone=True):
        self.root, self.store, self.trained = request.results, MemoryStore(), []
        self.queue = queue_of(request, self.store)
        self.dropper = Dropper(self.queue, lambda: alone)

    def run(self):
        while not isinstance(job := self.queue.next(), Signal):
            key = job.spec.encoder_key
            if key not in self.encoders():
                self.trained.append(key)
                (self.root / "encoders" / key).mkdir(parents=True)
            self.store.write(row_of(job) | {"encoder_key": key})
            self.queue.ended(job.key, "")
            self.dropper()
        assert self.queue.finished
        self.dropper.at_end()
        return self

    def encoders(self):
        return {path.name for path in (self.root / "encoders").glob("*")}


@pytest.fixture
def folder(ask, tmp_path):
    def make(keep, alone=True):
        methods = ("cross_entropy", "crt", "logit_adjustment", "lmd")
        request = ask(*methods, results=tmp_path, keep_encoders=keep, n_trials=8, top_k=2)
        return Folder(request, alone).run()

    return make


def test_what_is_dropped_is_never_trained_again(folder):
    used = folder("used")
    assert len(used.trained) == len(set(used.trained))
    assert used.encoders() < set(used.trained)


def test_what_calibrations_may_stand_on_stays(folder):
    used = folder("used")
    for study in used.queue.studies.values():
        if study.spec.stands_on is not None:
            assert {row["encoder_key"] for row in study.rows} <= used.encoders()


def test_all_of_them_stay_where_that_is_asked_for(folder):
    every = folder("all")
    assert every.encoders() == set(every.trained)


def test_none_of_them_stays_where_that_is_asked_for(folder):
    none = folder("none")
    assert len(none.trained) == len(set(none.trained))
    assert none.encoders() == set()


def test_nothing_is_dropped_while_another_search_works_in_the_folder(folder):
    every = folder("none", alone=False)
    assert every.encoders() == set(every.trained)


def test_the_encoder_of_a_kept_model_stays(ask, tmp_path: Path):
    request = ask("crt", results=tmp_path, keep_encoders="none", n_trials=2)
    search = Folder(request)
    model = tmp_path / "models" / "k"
    model.mkdir(parents=True)
    first = next(iter(search.queue.studies.values()))
    key = first.spec_of(first.spec.default).encoder_key
    (model / "model.json").write_text(f'{{"encoder_key": "{key}"}}')
    assert search.run().encoders() == {key}
