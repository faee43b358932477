"""A mirror over fsspec's own file system in memory, and a folder as a URL."""

import fsspec
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.store.compaction import compact
from lmd_bench.store.gathered import gathered_files
from lmd_bench.store.gathering import gather
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


def test_gathered_logits_ablations_and_records_travel_with_compacted_rows(tmp_path, url):
    here, there = tmp_path / "here", tmp_path / "there"
    store, rows = open_store(here, create=True), [row(here, 1), row(here, 2)]
    for written in rows:
        store.write(written, [("image", "val", 0, [float(written["seed"]), 0.0])])
    gather(here)
    compact(here)
    record, cells = f"reproductions/{rows[0]['key']}.json", "ablations/lmd-rows-0a.json"
    for name in (record, cells):
        (here / name).parent.mkdir()
        (here / name).write_text(name)
    Mirror(url, here).push_all()
    read, mirror = open_store(there, create=True), Mirror(url, there)
    read.write(rows[0])  # a row that is here already lacks its logits and its record

    assert mirror.pull() == 1

    assert [read.read_logits(r["key"])["val"][2][0, 0] for r in rows] == [1, 2]
    assert [(there / name).read_text() for name in (record, cells)] == [record, cells]
    # What was gathered anew comes once, and not at all where it holds nothing new.
    third = row(here, 3)
    for machine in (here, there):
        open_store(machine).write(third, [("image", "val", 0, [3.0, 0.0])])
        gather(machine)
    before = gathered_files(there)
    Mirror(url, here).push_all()
    assert mirror.pull() == 0
    assert gathered_files(there) == before
    # Nor does a file come again that a gathering took the place of.
    fourth = row(here, 4)
    read.write(fourth, [("image", "val", 0, [4.0, 0.0])])
    gather(there)
    mirror.pull()
    assert len(gathered_files(there)) == 1


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
