"""The probability that a claim is false, by hand and against how often such claims are false."""

from math import isnan, nan

import numpy as np
import pytest
from scipy import stats

from lmd_bench.stats.claims import false_claims
from lmd_bench.stats.influence import Influence
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import Joint, joint

NOTHING = Interval(nan, nan, "")


def _difference(value: float, se: float, df: float = 8.0) -> Joint:
    return Joint(value, 5, se, df, NOTHING, NOTHING, NOTHING, nan)


def test_a_lone_difference_is_taken_as_it_is() -> None:
    (found,) = false_claims([_difference(-0.03, 0.02)])

    assert found == pytest.approx(stats.t.cdf(-1.5, 8))


def test_differences_that_are_no_larger_than_their_noise_are_nearly_a_toss_up() -> None:
    """Alone, the second would be false with 17 %; its family says that nothing lies far apart."""
    found = false_claims([_difference(value, 0.03) for value in (0.02, -0.03, 0.01, 0.0, 0.01)])

    assert stats.t.cdf(-1, 8) == pytest.approx(0.173, abs=1e-3)
    assert 0.28 < found[1] < 0.45
    assert found[3] == pytest.approx(0.5)


def test_large_differences_keep_what_they_show() -> None:
    values = [0.10, -0.12, 0.08, 0.02, -0.09, 0.11]
    found = false_claims([_difference(value, 0.01) for value in values])

    alone = stats.t.cdf(-2, 8)  # of 0.02
    assert alone < found[3] < 1.1 * alone


def test_what_has_no_joint_interval_has_no_probability() -> None:
    assert isnan(false_claims([_difference(0.1, nan)])[0])
    assert false_claims([]) == []


def test_such_claims_are_false_as_often_as_is_said() -> None:
    """600 families of 12 differences of 5 retrainings, SE .023; methods lie .005 to .06 apart."""
    generator = np.random.default_rng(0)
    pull = Influence(np.full((100, 5), 0.02 / 100**0.5), 99.0)
    said: list[float] = []
    as_p: list[float] = []
    false: list[bool] = []
    for _ in range(600):
        apart = np.exp(generator.uniform(np.log(0.005), np.log(0.06)))
        true = generator.normal(0, apart, 12)
        luck = generator.normal(0, 0.02, 12)
        runs = true + luck + generator.normal(0, 0.012 * 5**0.5, (5, 12))
        found = [joint(runs[:, i].tolist(), pull, "test lesions") for i in range(12)]
        said += false_claims(found)
        as_p += [pair.p / 2 for pair in found]
        false += [bool(f.value * t < 0) for f, t in zip(found, true, strict=True)]

    assert max(_off(said, false)) <= 0.05
    assert max(_off(as_p, false)) > 0.10  # what a reader of p-values would take it to be


def _off(said: list[float], false: list[bool]) -> list[float]:
    """Return by how much the share of false claims is off in each bin of what was said."""
    bins = np.digitize(said, [0.05, 0.15, 0.25, 0.35])
    return [
        abs(float(np.mean(np.array(false)[bins == i]) - np.mean(np.array(said)[bins == i])))
        for i in range(5)
    ]
