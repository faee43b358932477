"""The pool of features: each is computed once, and what a killed run leaves is gone on from."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.data.images import cache
from lmd_bench.data.images import pool as pools
from lmd_bench.data.images.pool import FeaturePool

WIDTH = 3


class Counting:
    """Makes features that tell of copy and row, and keeps what it was asked for."""

    def __init__(self, dies_after: int = 1000) -> None:
        self.asked: list[tuple[int, int]] = []
        self.dies_after = dies_after

    def __call__(self, copy: int, rows: np.ndarray) -> np.ndarray:
        if len(self.asked) >= self.dies_after:
            raise KeyboardInterrupt
        self.asked += [(copy, int(row)) for row in rows]
        return np.stack([np.full(WIDTH, 100 * copy + row + 1, np.float32) for row in rows])


def pool(tmp_path: Path, n_images: int = 10) -> FeaturePool:
    return FeaturePool(tmp_path / "pool", n_images, WIDTH)


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def test_only_the_rows_that_are_missing_are_computed(tmp_path: Path):
    compute = Counting()
    assert pool(tmp_path).fill("test", 1, rows(1, 3), compute) == 2
    assert pool(tmp_path).fill("test", 1, rows(0, 1, 3, 5), compute) == 2
    assert pool(tmp_path).fill("test", 1, rows(5, 0), compute) == 0
    assert compute.asked == [(0, 1), (0, 3), (0, 0), (0, 5)]
    assert pool(tmp_path).mapped("test", 1)[0, :, 0].tolist() == [1, 2, 0, 4, 0, 6, 0, 0, 0, 0]


def test_more_copies_leave_those_that_are_there(tmp_path: Path):
    compute = Counting()
    pool(tmp_path).fill("weak", 1, rows(2), compute)
    pool(tmp_path).fill("weak", 3, rows(2, 4), compute)
    assert compute.asked == [(0, 2), (0, 4), (1, 2), (1, 4), (2, 2), (2, 4)]
    assert pool(tmp_path).mapped("weak", 3)[:, [2, 4], 1].tolist() == [
        [3, 5],
        [103, 105],
        [203, 205],
    ]
    # fewer are asked for again
    assert pool(tmp_path).missing("weak", 2, rows(2, 4)) == 0


def test_views_are_apart(tmp_path: Path):
    pool(tmp_path).fill("weak", 1, rows(2), Counting())
    assert pool(tmp_path).missing("strong", 1, rows(2)) == 1


def test_what_a_killed_run_wrote_is_not_computed_again(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(pools, "BLOCK", 2)
    dying, second = Counting(dies_after=4), Counting()
    with pytest.raises(KeyboardInterrupt):
        pool(tmp_path).fill("test", 1, np.arange(10), dying)
    assert len(dying.asked) == 4
    assert pool(tmp_path).fill("test", 1, np.arange(10), second) == 6
    assert pool(tmp_path).mapped("test", 1)[0, :, 0].tolist() == list(range(1, 11))


def test_a_file_that_was_cut_short_is_made_again(tmp_path: Path):
    compute = Counting()
    pool(tmp_path).fill("test", 1, np.arange(10), compute)
    os.truncate(tmp_path / "pool" / "test.f32", 50)
    assert pool(tmp_path).fill("test", 1, np.arange(10), compute) == 10
    assert pool(tmp_path).mapped("test", 1)[0, :, 0].tolist() == list(range(1, 11))


def test_progress_ends_at_all_that_was_to_be_done(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(pools, "BLOCK", 4)
    told: list[tuple[int, int]] = []
    pool(tmp_path).fill("test", 1, np.arange(10), Counting(), lambda *n: told.append(n))
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "pool").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="set LMD_BENCH_CACHE"):
        pool(tmp_path).fill("test", 1, rows(0), Counting())


def test_who_waits_for_another_is_told_so(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(cache, "_WAIT", 0.01)
    signs: list[None] = []
    with ThreadPoolExecutor(1) as other, cache.locked(tmp_path / "pool"):
        asked = other.submit(
            pool(tmp_path).fill, "test", 1, rows(0, 1), Counting(), None, lambda: signs.append(None)
        )
        while not signs:
            time.sleep(0.01)
        assert not asked.done()
    assert asked.result() == 2
