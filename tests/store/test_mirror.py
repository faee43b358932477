"""A mirror over fsspec's own file system in memory, and a folder as a URL."""

import fsspec
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.store.mirror import Mirror, MirroredStore
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store

TIMES = {"started_at": "t", "finished_at": "t", "seconds": 1.0, "standalone_seconds": 1.0}


def row(root, seed):
    spec = TrialSpec(TaskSpec("synthetic"), "f", "crt", "cross_entropy", "crt", {}, seed, 1)
    return make_row(spec, TrialContext(results=root), status="ok", **TIMES)


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    if request.param == "file":
        yield f"file://{tmp_path}/far"
        return
    yield "memory://bucket/far"
    fsspec.filesystem("memory").store.clear()


def test_what_one_machine_pushes_another_pulls(tmp_path, url):
    here, there = tmp_path / "here", tmp_path / "there"
    store = open_store(here, create=True)
    first, second = row(here, 1), row(here, 2)
    store.write(first, [("image", "val", 0, [0.5, 1.5])])
    store.write(second)
    mirror = Mirror(url, here)
    mirror.check()
    mirror.push([first["key"]])
    other = Mirror(url, there)
    assert other.pull() == 1
    read = open_store(there, create=True)
    assert [r["key"] for r in read.rows()] == [first["key"]]
    assert read.read_logits(first["key"])["val"][0] == ("image",)
    mirror.push_all()
    assert other.pull() == 1
    assert other.pull() == 0
    assert read.rows() == store.rows()


def test_a_search_gets_the_row_that_a_worker_elsewhere_wrote(tmp_path, url):
    worker, driver = tmp_path / "worker", tmp_path / "driver"
    written = row(worker, 1)
    open_store(worker, create=True).write(written)
    open_store(driver, create=True)
    store = MirroredStore(driver, Mirror(url, driver))
    assert store.get(written["key"]) is None
    Mirror(url, worker).push_all()
    assert store.get(written["key"]) == written


def test_a_url_that_nobody_knows_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="--mirror nowhere://x cannot be written to"):
        Mirror("nowhere://x", tmp_path).check()
