"""Claims: by lock on one machine, by a date that is renewed between machines."""

import errno
import fcntl
import json
import os
import resource

import pytest

from lmd_bench.core.errors import BrokenPlaceError, DiskError, UserError
from lmd_bench.search.tune.claims import FRESH, claimed


def of_another_machine(folder, studies, seconds_ago):
    (folder / "locks").mkdir(exist_ok=True)
    path = folder / "locks" / "other.json"
    path.write_text(json.dumps({"host": "node37", "process": 7, "studies": studies}))
    then = path.stat().st_mtime - seconds_ago
    os.utime(path, (then, then))
    return path


def test_a_search_leaves_no_claim_behind(tmp_path):
    with claimed(tmp_path, ["a", "b"]):
        assert len(list((tmp_path / "locks").glob("*.json"))) == 1
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["claims.lock"]


def test_thousands_of_studies_take_one_open_file(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, hard))
    try:
        with claimed(tmp_path, [f"study {number}" for number in range(2000)]):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_fresh_claim_of_another_machine_holds_though_its_lock_is_free(tmp_path):
    path = of_another_machine(tmp_path, ["a"], seconds_ago=1.0)
    with pytest.raises(UserError, match=r"process 7 on node37.*other\.json"):
        claimed(tmp_path, ["a"]).__enter__()
    with claimed(tmp_path, ["b"]):
        assert path.exists()


def test_a_claim_of_another_machine_that_died_is_free_after_a_while(tmp_path):
    path = of_another_machine(tmp_path, ["a"], seconds_ago=FRESH + 60.0)
    with claimed(tmp_path, ["a"]):
        assert not path.exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EIO, errno.EROFS])
def test_whatever_a_lock_answers_is_a_sentence(tmp_path, monkeypatch, code):
    def flock(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    kind = DiskError if code == errno.EROFS else BrokenPlaceError
    with pytest.raises(kind, match="cannot be locked"):
        claimed(tmp_path, ["a"]).__enter__()
    assert not list((tmp_path / "locks").glob("*.json"))
