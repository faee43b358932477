"""A process whose parent is killed, and not waited for, ends and frees its lock."""

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

CHILD = """
import sys, time
from filelock import FileLock
from lmd_bench.search.tune.worker import end_with_parent
if sys.argv[2] == "watched":
    end_with_parent()
with FileLock(sys.argv[1]):
    print(flush=True)
    time.sleep(15)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"


@pytest.mark.parametrize("how", ["watched", "unwatched"])
def test_an_orphan_frees_its_locks(tmp_path: Path, how: str) -> None:
    lock = tmp_path / "encoder.lock"
    command = [sys.executable, "-c", PARENT, CHILD, str(lock), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline()
        parent.kill()  # a zombie until the end of the block
        if how == "watched":
            with FileLock(lock, timeout=10.0):
                pass
        else:  # what the watch is for
            with pytest.raises(TimeoutError), FileLock(lock, timeout=3.0):
                pass
