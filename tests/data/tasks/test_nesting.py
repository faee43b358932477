"""The tasks of a sweep: nested train sets, one val, one test."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data import datasets
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.nesting import (
    check_nested,
    factor_levels,
    fit,
    largest_n_max,
    nested_specs,
)
from lmd_bench.data.tasks.protocols import cut

SPEC = TaskSpec("made")


def _table(*counts: int) -> ImageTable:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    ids = tuple(f"i{row:05}" for row in range(len(labels)))
    return ImageTable(ids, labels, ids, tuple("abcdefg"[: len(counts)]))


@pytest.fixture(scope="module")
def synthetic() -> ImageTable:
    return datasets.load("synthetic").read(None)


def test_train_sets_of_synthetic_nest_and_test_is_the_same_at_every_factor(
    synthetic: ImageTable,
) -> None:
    specs = nested_specs(
        synthetic, replace(SPEC, dataset="synthetic"), [100.0, 20.0, 500.0, 50.0], DataSource()
    )
    splits = [cut(synthetic, spec) for spec in specs]

    assert [spec.imbalance_factor for spec in specs] == [20, 50, 100, 500]
    assert all(spec.n_max is None for spec in specs)  # as a search would ask for them
    assert len({tuple(split.test) for split in splits}) == 1
    assert len({tuple(split.val) for split in splits}) == 1
    for larger, smaller in pairwise(splits):
        assert set(smaller.train) < set(larger.train)


def test_n_max_is_the_largest_that_all_factors_divide() -> None:
    # 100 of the rarest: 15 val, 25 test, 60 left; factor 10 allows 600, and 4 x 150 = 2 x 300
    table = _table(2000, 300, 100)
    specs = nested_specs(table, SPEC, [10.0, 20.0, 40.0], DataSource())

    assert {spec.n_max for spec in specs} == {600}


def test_where_no_number_is_divided_by_all_the_largest_that_nests_is_taken() -> None:
    # 700 = 10 x 70 images of the rarest; factors 200 and 500 leave 3 x 200 and 1 x 500
    heads = {10.0: 10, 20.0: 20, 50.0: 50, 100.0: 100, 200.0: 200, 500.0: 500}

    def counts(spec: TaskSpec) -> list[int]:
        factor, n_max = spec.imbalance_factor or 1.0, spec.n_max or 0
        n_min = n_max // heads[factor]
        if not 1 <= n_min <= 70:
            raise UserError("not to be had")
        return [int(n_min * factor), n_min]

    specs = [replace(SPEC, imbalance_factor=factor) for factor in heads]

    assert largest_n_max(counts, specs, 5000) == 700
    assert counts(replace(specs[-2], n_max=700)) == [600, 3]
    assert not fit(counts, [replace(spec, n_max=500) for spec in specs])  # 400 at 200, 500 at 500


def test_factors_that_cannot_be_had_together_are_named_with_those_that_can() -> None:
    table = _table(2000, 300, 50)  # 12 test, 7 val, 31 left
    with pytest.raises(UserError) as error:
        nested_specs(table, SPEC, [10.0, 50.0, 500.0], DataSource())

    sentence = str(error.value)
    assert "Imbalance factors 10 and 500 cannot be had together" in sentence
    assert "has 31 images for training" in sentence
    assert "--imbalance-factor 50,500 with --n-max 1500" in sentence
    assert "--imbalance-factor 10,50 with --n-max 300" in sentence


def test_an_n_max_that_does_not_nest_is_refused_with_one_that_would() -> None:
    table = _table(5000, 400, 120)  # 30 test, 18 val, 72 left
    with pytest.raises(UserError, match=r"do not nest.*400 at 200, 500 at 500.*--n-max \d+ would"):
        nested_specs(table, replace(SPEC, n_max=500), [50.0, 200.0, 500.0], DataSource())


def test_a_single_factor_the_data_cannot_give_is_named_with_the_smallest_possible() -> None:
    table = _table(2000, 300, 50)
    with pytest.raises(UserError, match="factor 10 .* smallest possible whole factor is 32"):
        nested_specs(table, replace(SPEC, n_max=1000), [10.0, 100.0], DataSource())


def test_a_protocol_whose_test_changes_with_the_factor_is_refused() -> None:
    table = _table(2000, 300, 50)
    spec = replace(SPEC, protocol="lmd")
    with pytest.raises(UserError, match="'lmd' gives other (val|test) images .* 50 and 100"):
        nested_specs(table, spec, [100.0, 50.0], DataSource())


def test_one_factor_is_no_sweep() -> None:
    with pytest.raises(UserError, match="two or more"):
        nested_specs(_table(200, 100), SPEC, [10.0, 10.0], DataSource())


def test_natural_data_hold_every_other_train_set() -> None:
    table = _table(2000, 300, 100)
    specs = nested_specs(table, SPEC, [100.0, None, 50.0], DataSource())

    assert [spec.imbalance_factor for spec in specs] == [None, 50, 100]
    assert len(check_nested(table, specs, DataSource())) == 3


@pytest.mark.parametrize(
    ("ends", "n", "n_max"),
    [
        ((5.0, 40.0), 3, 200),
        ((20.0, 200.0), 5, 500),
        ((20.0, 200.0), 5, 1400),
        ((10.0, 200.0), 5, 2000),
        ((10.0, 200.0), 9, 970),
    ],
)
def test_levels_of_a_range_are_even_in_log_and_keep_the_largest_class(ends, n, n_max) -> None:
    from lmd_bench.data.tasks.balanced import _exact_ends

    levels = factor_levels(*ends, n, n_max)
    assert (levels[0], levels[-1], len(levels)) == (*ends, n)
    even = np.geomspace(*ends, n)
    assert np.abs(np.array(levels) / even - 1).max() < 0.13
    assert [_exact_ends(n_max, factor)[0] for factor in levels[1:-1]] == [n_max] * (n - 2)


def test_a_range_too_narrow_for_its_levels_has_fewer() -> None:
    assert factor_levels(2.0, 3.0, 5, 12) == (2.0, 2.4, 3.0)
