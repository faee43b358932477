"""The two functions that a script calls for data: images by `str` or `Path`, and a task of them."""

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource
from lmd_bench.data.build import build_tasks, load_task, prepare_images, task_specs
from tests.raw import write_seven_greys


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))


def test_the_folder_of_the_images_is_a_str_or_a_path(tmp_path):
    root = write_seven_greys(tmp_path / "raw")
    images = prepare_images("ham10000", 8, data_root=str(root))
    assert len(images.table) == 7
    assert prepare_images("ham10000", 8, data_root=root).folder == images.folder


def test_progress_names_the_data_set_and_is_silent_once_the_cache_holds_it(tmp_path):
    root = write_seven_greys(tmp_path / "raw")
    calls = []
    for _ in range(2):
        prepare_images("ham10000", 8, data_root=root, progress=lambda *seen: calls.append(seen))
    assert calls == [("ham10000", 7, 7)]


@pytest.mark.parametrize("factor", [20, 20.0, "20"])
def test_a_task_is_the_one_that_a_search_builds_however_its_factor_is_written(factor):
    task = load_task("synthetic", imbalance_factor=factor, image_size=8)
    assert repr(task.spec.imbalance_factor) == "20.0"  # a row's key hashes it
    specs = task_specs(["synthetic"], [20.0], "balanced_v2", 0, 8, None)
    ((_, fingerprint),) = build_tasks(specs, DataSource())
    assert task.fingerprint == fingerprint


def test_the_rows_of_a_task_are_those_of_the_images():
    task = load_task("synthetic", imbalance_factor=20, image_size=8)
    labels = prepare_images("synthetic", 8).table.labels
    assert np.bincount(labels[task.train]).tolist() == list(task.class_counts)
    assert not set(task.train) & set(task.val)


def test_an_unknown_protocol_is_told_with_those_that_there_are():
    with pytest.raises(UserError, match="Unknown protocol 'fair'.*balanced"):
        task_specs(["synthetic"], [None], "fair", 0, 8, None)


@pytest.mark.parametrize("given", [0.5, "twenty", float("inf"), float("nan")])
def test_a_factor_that_cannot_be_is_refused(given):
    with pytest.raises(UserError, match="is not possible; give a number of at least 1"):
        load_task("synthetic", imbalance_factor=given)
