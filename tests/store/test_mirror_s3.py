"""The mirror on a local S3 server, and what two machines do with it."""

import json
import socket
import threading
import time
from pathlib import Path

import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.search.tune.claims import claimed_far
from lmd_bench.store import mirror as mirrors
from lmd_bench.store.compaction import compact
from lmd_bench.store.mirror import Mirror, MirroredStore, far_claim, renew
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store
from lmd_bench.training import far_encoders
from lmd_bench.training.far_encoders import FarEncoder

TIMES = {"started_at": "t", "finished_at": "t", "seconds": 1.0, "standalone_seconds": 1.0}
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def s3():
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    running.start()
    yield f"http://127.0.0.1:{port}"
    running.stop()


@pytest.fixture(params=["s3", "file"])
def url(request, tmp_path, monkeypatch):
    monkeypatch.setattr(mirrors, "PAUSES", (0.0,))
    if request.param == "file":
        return f"file://{tmp_path}/far"
    endpoint = request.getfixturevalue("s3")
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"bucket-{tmp_path.name[-30:].replace('_', '-').lower()}".strip("-")
    s3fs.S3FileSystem().mkdir(bucket)
    return f"s3://{bucket}/far"


def row(root, seed):
    spec = TrialSpec(TaskSpec("synthetic"), "f", "crt", "cross_entropy", "crt", {}, seed, 1)
    return make_row(spec, TrialContext(results=root), status="ok", **TIMES)


def filled(root, n=3):
    store = open_store(root, create=True)
    for seed in range(n):
        store.write(row(root, seed), [("image", "val", 0, [0.5, 1.5])])
    return store


def keys_in(root):
    return {r["key"] for r in open_store(root).rows()}


def test_rows_travel_whether_compacted_or_not(tmp_path, url):
    here, there = tmp_path / "here", tmp_path / "there"
    store = filled(here)
    compact(here)
    store.write(row(here, 7))
    mirror = Mirror(url, here)
    mirror.check()
    mirror.push_all()
    open_store(there, create=True)
    assert Mirror(url, there).pull() == 4
    assert keys_in(there) == keys_in(here)
    assert Mirror(url, there).pull() == 0


def test_what_is_compacted_here_does_not_come_back(tmp_path, url):
    store = filled(tmp_path / "here")
    mirror = Mirror(url, store.root)
    mirror.push_all()
    compact(store.root)
    assert mirror.pull() == 0
    assert store.singles() == []


def test_a_row_that_the_driver_writes_off_travels(tmp_path, url):
    open_store(tmp_path / "here", create=True)
    mirror = Mirror(url, tmp_path / "here")
    lost = row(tmp_path / "here", 1) | {"status": "lost", "cause": "died"}
    MirroredStore(tmp_path / "here", mirror).write(lost)
    assert mirror.has(f"trials/{lost['key']}.parquet")


def test_one_trial_lists_no_folder(tmp_path, url, monkeypatch):
    store = filled(tmp_path / "here", 1)
    (path,) = store.singles()
    mirror = Mirror(url, store.root)
    monkeypatch.setattr(Mirror, "_list", lambda self, folder: pytest.fail("it listed"))
    mirror.push([path.stem])
    assert MirroredStore(tmp_path / "there", Mirror(url, tmp_path / "there")).get(path.stem)


def test_four_pulls_at_once_into_one_folder(tmp_path, url):
    filled(tmp_path / "here", 12)
    Mirror(url, tmp_path / "here").push_all()
    open_store(tmp_path / "there", create=True)
    errors = []

    def pull():
        try:
            Mirror(url, tmp_path / "there").pull()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert keys_in(tmp_path / "there") == keys_in(tmp_path / "here")


def test_two_machines_never_hold_one_study(tmp_path, url):
    with claimed_far(Mirror(url, tmp_path / "a"), ["one", "two"]):
        with pytest.raises(UserError, match="is working on two"):
            claimed_far(Mirror(url, tmp_path / "b"), ["two"]).__enter__()
        with claimed_far(Mirror(url, tmp_path / "b"), ["three"]):
            pass
    with claimed_far(Mirror(url, tmp_path / "b"), ["two"]):
        pass


def test_of_two_that_claim_at_once_one_is_first(tmp_path, url):
    firsts = []

    def claim():
        with far_claim(Mirror(url, tmp_path), "claims", {}, fresh=60.0) as (_, before):
            firsts.append(not before)
            barrier.wait()

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=claim) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(firsts) == [False, False, True]


def test_a_claim_that_is_just_being_renewed_still_counts(tmp_path):
    mirror = Mirror(f"file://{tmp_path}/far", tmp_path / "here")
    mirror.put_text("claims/0.json", "")
    with far_claim(mirror, "claims", {}, fresh=60.0, settle=0.0) as (_, before):
        assert before == {"0.json": {}}


def test_a_claim_that_is_renewed_stays_the_first(tmp_path, url):
    """Renewed while another settles, it would look as if it had come later: both would be first."""
    mirror = Mirror(url, tmp_path / "here")
    with far_claim(mirror, "claims", {"who": "a"}, fresh=60.0, settle=0.0) as (name, before):
        assert before == {}
        again = threading.Timer(1.5, renew, [mirror, "claims", name])  # dates may be of seconds
        time.sleep(1.1)
        again.start()
        with far_claim(mirror, "claims", {"who": "b"}, fresh=60.0, settle=2.0) as (_, first):
            assert [claim["who"] for claim in first.values()] == ["a"]
        again.join()
    assert mirror.texts("claims") == {}


def test_a_claim_is_read_again_when_it_was_half_written(tmp_path):
    mirror = Mirror(f"file://{tmp_path}/far", tmp_path / "here")
    mirror.put_text("claims/0.json", "")
    writer = threading.Timer(0.15, mirror.put_text, ["claims/0.json", '{"studies": ["a"]}'])
    writer.start()
    with far_claim(mirror, "claims", {}, fresh=60.0, settle=0.0) as (_, before):
        assert before == {"0.json": {"studies": ["a"]}}
    writer.join()


def test_two_machines_train_an_encoder_once(tmp_path, url, monkeypatch):
    monkeypatch.setattr(far_encoders, "POLL", 0.2)
    trained, waits = [], []

    def machine(name):
        root = tmp_path / name
        far = FarEncoder(Mirror(url, root), "key")
        with far.turn(lambda: waits.append(name)) as is_ours:
            if is_ours:
                trained.append(name)
                folder = root / "encoders" / "key"
                folder.mkdir(parents=True)
                far.alive()
                (folder / "model.safetensors").write_bytes(b"weights")
                (folder / "encoder.json").write_text(json.dumps({}))
                far.push()
        return (root / "encoders" / "key" / "model.safetensors").read_bytes()

    threads = [threading.Thread(target=machine, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trained) == 1
    assert machine("c") == b"weights"
    assert len(trained) == 1
    for name in ("a", "b", "c"):
        assert Path(tmp_path / name / "encoders" / "key" / "encoder.json").is_file()


def test_expired_credentials_have_a_sentence(tmp_path, monkeypatch):
    def exists(path):
        raise PermissionError("An error occurred (ExpiredToken): The provided token has expired.")

    mirror = Mirror(f"file://{tmp_path}/far", tmp_path)
    with pytest.raises(UserError, match="have expired or are not valid"):
        mirror._tried(exists, "x")


def test_a_network_that_comes_back_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(mirrors, "PAUSES", (0.0, 0.0))
    answers = [ConnectionError("reset"), TimeoutError("slow"), "there"]

    def ask():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Mirror(f"file://{tmp_path}/far", tmp_path)._tried(ask) == "there"
