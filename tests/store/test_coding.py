"""Logits as small whole numbers: every one comes back to the bit, and like ones take little."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.store.coding import coded, decoded
from lmd_bench.store.gathered import GATHERED, STORED, gathered_files, read_gathered
from lmd_bench.store.gathering import gather
from lmd_bench.store.roundings import STEPS, Rounding, round_logits
from lmd_bench.store.store import Store, open_store
from tests.store.test_gathering import fill, of_all

N_IMAGES = 40


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "runs", create=True)


def some(seed: int, n_classes: int = 3, n_images: int = N_IMAGES, scale: float = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_images, n_classes)).astype("f4") * scale


def entry(z: np.ndarray, split: str = "test", key: str = "k") -> dict[str, Any]:
    ids = [f"i{n}" for n in range(len(z))]
    return {
        "key": key,
        "split": split,
        "image_id": ids,
        "label": [0] * len(z),
        "logits": z.ravel().tolist(),
        "group": ids,
    }


def there_and_back(entries: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    rows = list(coded(entries))
    table = decoded(pa.Table.from_pylist(rows, STORED))
    assert table.schema == GATHERED
    return rows, [np.array(z, dtype="f4") for z in table["logits"].to_pylist()]


def assert_all_came_back(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows, back = there_and_back(entries)
    for row, z in zip(entries, back, strict=True):
        assert z.tobytes() == np.array(row["logits"], dtype="f4").tobytes()
    return rows


@pytest.mark.parametrize("step", STEPS)
def test_rounded_logits_come_back_to_the_bit(step: Rounding) -> None:
    (row,) = assert_all_came_back([entry(round_logits(some(0), step))])
    assert (row["step"], row["base"], row["logits"]) == (step.n, None, [])


def test_a_trial_is_told_from_the_one_that_is_most_like_it() -> None:
    first, other, near = some(0), some(1), some(0) + some(2, scale=0.01)
    steps = [Rounding("step", n) for n in (10, 8, 12)]
    entries = [entry(round_logits(z, s)) for z, s in zip((first, other, near), steps, strict=True)]
    rows = assert_all_came_back(entries)
    assert [row["base"] for row in rows] == [None, None, 0]
    assert np.abs(rows[2]["coded"]).mean() < np.abs(rows[0]["coded"]).mean() / 10


def test_only_trials_of_the_same_split_images_and_classes_are_told_from() -> None:
    z = round_logits(some(0), STEPS[5])
    others = [entry(z, "val"), entry(z[:-1]), entry(np.hstack([z, z[:, :1]])), entry(z)]
    assert [row["base"] for row in assert_all_came_back(others)] == [None] * 4


def test_a_constant_that_a_class_has_more_costs_nothing() -> None:
    z = round_logits(some(0), STEPS[5])
    rows = assert_all_came_back([entry(z), entry(z + np.array([64, 0, -32], dtype="f4"))])
    assert rows[1]["base"] == 0
    assert not np.any(rows[1]["coded"][3:])


@pytest.mark.parametrize(
    "z",
    [
        some(0),  # of no step
        np.where(some(0) > 0, np.float32(-0.0), np.float32(1)),
        round_logits(some(0), STEPS[-1]) * np.float32(2**24),
        np.full((N_IMAGES, 3), np.inf, dtype="f4"),
        np.full((N_IMAGES, 3), np.nan, dtype="f4"),
        np.zeros((0, 3), dtype="f4"),
    ],
    ids=["never rounded", "negative zeros", "too large", "infinite", "nan", "no images"],
)
def test_what_would_not_come_back_stays_as_it_is(z: np.ndarray) -> None:
    like = round_logits(some(0), STEPS[5])
    rows = assert_all_came_back([entry(like), entry(z), entry(like)])
    assert [row["base"] for row in rows] == [None, None, 0]
    assert (rows[1]["step"], rows[1]["coded"]) == (None, [])


def test_large_numbers_of_a_coarse_step_do_not_overflow_a_finer_one() -> None:
    large = np.full((N_IMAGES, 3), 2.0**20, dtype="f4")
    rows = assert_all_came_back([entry(large), entry(round_logits(some(0), STEPS[-1]))])
    assert [row["step"] for row in rows] == [STEPS[0].n, STEPS[-1].n]


def test_files_of_earlier_versions_are_read_as_they_are(store: Store) -> None:
    rows = fill(store, 3)
    gather(store.root)
    before = of_all(store, rows)
    (file,) = gathered_files(store.root)
    as_then = decoded(pq.read_table(file))
    shutil.rmtree(file.parent)
    file.parent.mkdir()
    pq.write_table(as_then, file)
    for old, new in zip(before, of_all(store, rows), strict=True):
        assert all(np.array_equal(old[split][2], new[split][2]) for split in old)


@pytest.mark.parametrize("what", ["base", "coded"])
def test_codes_that_say_nothing_are_damage(store: Store, what: str) -> None:
    (row,) = fill(store, 1)
    gather(store.root, rounded=True)
    (file,) = gathered_files(store.root)
    table = pq.read_table(file)
    wrong = {"base": [None, 1], "coded": [[1, 2, 3]] * 2}[what]
    field = STORED.field(what)
    pq.write_table(
        table.set_column(STORED.get_field_index(what), field, pa.array(wrong, field.type)), file
    )
    with pytest.raises(UserError, match="is damaged"):
        read_gathered(store.root, row["key"])
