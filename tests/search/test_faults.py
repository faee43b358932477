"""Fault drills: after each, no finished trial is lost, none repeated, and the rows are those of an
uninterrupted run with the same seed at concurrency 1."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from drill import COMMAND, PATIENCE, family, finish, measured, named, rows_on_disk, start, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * PATIENCE)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def reference(tmp_path_factory, cache):
    """Return what an uninterrupted run at concurrency 1 measured."""
    results = tmp_path_factory.mktemp("reference")
    finish(start(results, cache, n_slots=1))
    return measured(results)


def kill_all(process):
    for pid in reversed(family(process.pid)):  # workers first, then raylet and driver
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()


def ends_well(results, cache, reference, before, *options):
    finish(start(results, cache, 2, *options))
    after = rows_on_disk(results)
    assert {key: after[key] for key in before} == before  # none was lost, none written again
    assert measured(results) == reference


def test_the_driver_is_killed_at_five_random_times(tmp_path, cache, reference):
    rng = random.Random(7)
    before = {}
    for _ in range(5):
        process = start(tmp_path, cache)
        target = len(before) + rng.randint(0, 2)
        wait_for(
            lambda p=process, n=target: p.poll() is not None or len(rows_on_disk(tmp_path)) >= n
        )
        time.sleep(rng.uniform(0.0, 8.0))
        kill_all(process)
        now = rows_on_disk(tmp_path)
        assert {key: now[key] for key in before} == before
        before = now
    ends_well(tmp_path, cache, reference, before)


@pytest.mark.parametrize("stage", ["", "representation", "calibration"])
def test_a_worker_is_killed_in_each_stage(tmp_path, cache, reference, stage):
    process = start(tmp_path, cache)

    def signs():
        found = []
        for path in tmp_path.glob("running/[!.]*.json"):
            try:
                found.append(json.loads(path.read_text()).get("stage", ""))
            except (OSError, ValueError):
                continue
        return found

    wait_for(lambda: stage in signs() and named(process.pid, "ray::ImplicitFunc"))
    for pid in named(process.pid, "ray::ImplicitFunc"):
        os.kill(pid, signal.SIGKILL)
    finish(process)
    assert measured(tmp_path) == reference


def test_a_raylet_dies_alone_and_its_workers_write_late(tmp_path, cache, reference):
    process = start(tmp_path, cache)
    wait_for(lambda: len(rows_on_disk(tmp_path)) >= 2)
    for pid in named(process.pid, "raylet/raylet"):
        os.kill(pid, signal.SIGKILL)
    # it starts Ray anew and ends, or breaks off with a sentence
    process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 1)
    ends_well(tmp_path, cache, reference, rows_on_disk(tmp_path))


def test_the_memory_monitor_kills_workers(tmp_path, cache, reference):
    low = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100"}
    process = start(tmp_path, cache, **low)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, said
    assert "Traceback" not in said
    lost = [key for key, (status, *_) in measured(tmp_path).items() if status != "ok"]
    kept = {key: at for key, at in rows_on_disk(tmp_path).items() if key not in lost}
    assert lost  # written off as rows; the machine is mended now
    ends_well(tmp_path, cache, reference, kept, "--retry-failed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_search(tmp_path, cache, reference, number):
    process = start(tmp_path, cache)
    wait_for(lambda: len(rows_on_disk(tmp_path)) >= 2)
    process.send_signal(number)
    said = finish(process, code=130)
    assert "the same command goes on" in said
    ends_well(tmp_path, cache, reference, rows_on_disk(tmp_path))


def test_the_disk_is_full(tmp_path, cache, reference):
    results = tmp_path / "small"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(results)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        said = finish(start(results, cache), code=2)
        assert "No space left" in said or "could not read or write" in said
        assert not list(results.glob("*/.*.tmp"))
        before = rows_on_disk(results)
        subprocess.run(["mount", "-o", "remount,size=2g", str(results)], check=True)
        ends_well(results, cache, reference, before)
    finally:
        subprocess.run(["umount", "-l", str(results)], check=False)


def test_files_are_cut_the_cache_is_gone_and_locks_are_stale(tmp_path, cache, reference):
    process = start(tmp_path, cache)
    wait_for(lambda: len(rows_on_disk(tmp_path)) >= 5)
    kill_all(process)
    before = rows_on_disk(tmp_path)
    cut = sorted(before)[0]
    path = tmp_path / "trials" / f"{cut}.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    del before[cut]
    shutil.rmtree(tmp_path / "encoders")
    (tmp_path / "encoders").mkdir()
    for key in ("0" * 20, "1" * 20):
        (tmp_path / "encoders" / f".{key}.lock").touch()
    assert list((tmp_path / "locks").glob("*.lock"))  # of the driver that was killed
    ends_well(tmp_path, cache, reference, before)


def test_two_drivers_on_one_folder(tmp_path, cache, reference):
    first, second = start(tmp_path, cache), start(tmp_path, cache)
    texts = [process.communicate(timeout=PATIENCE)[0] for process in (first, second)]
    codes = sorted(process.returncode for process in (first, second))
    assert codes == [0, 2], texts
    assert any("is working on" in text for text in texts)
    ends_well(tmp_path, cache, reference, rows_on_disk(tmp_path))


def test_a_worker_that_hangs_before_its_first_epoch_is_ended(tmp_path, cache):
    asked = COMMAND.replace("--deterministic", "--trial-timeout 1")
    process = start(tmp_path, cache, 1, asked=asked)
    wait_for(lambda: named(process.pid, "ray::ImplicitFunc") and signs_of(tmp_path))
    stopped = named(process.pid, "ray::ImplicitFunc")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    said = finish(process)
    assert "the process that ran it hung" in said
    assert not [pid for pid in stopped if os.path.exists(f"/proc/{pid}")]
    assert {status for status, *_ in measured(tmp_path).values()} == {"ok"}


def signs_of(results):
    return list(results.glob("running/[!.]*.json"))
