from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from lmd_bench.leaderboard.draws import draw
from lmd_bench.leaderboard.first_places import (
    FirstPlace,
    chances_of_first,
    first_place,
    first_places_text,
)
from lmd_bench.leaderboard.studies.predictions import Judged
from lmd_bench.leaderboard.tables.text import lay_out

RNG = np.random.default_rng
LABELS = np.repeat(np.arange(4), 40)
IDS = tuple(f"{i:03}" for i in range(160))
GROUPS = ("many", "many", "medium", "few")


def judged(label: str, recall: float, seed: int, seeds: tuple[int, ...] = (1, 2, 3)) -> Judged:
    right = RNG(seed).uniform(size=(160, len(seeds))) < recall
    return Judged(label, seeds, IDS, LABELS, right, GROUPS)


def placed(methods: list[Judged], n_resamples: int = 2000) -> FirstPlace:
    return first_place(draw(methods, "task", n_resamples=n_resamples))


def test_equal_draws_are_shared() -> None:
    scores = np.array([[0.5, 0.5, 0.1], [0.2, 0.7, 0.1]])

    assert chances_of_first(scores).tolist() == [0.25, 0.75, 0.0]


def test_a_method_far_ahead_is_first_for_sure() -> None:
    found = placed([judged("low", 0.4, 0), judged("high", 0.9, 1)])

    assert found.labels == ("high", "low")
    assert found.chances[0] > 0.99
    assert found.scores[0] > found.scores[1]
    assert sum(found.chances) == pytest.approx(1)


def test_a_method_and_its_copy_are_first_half_of_the_time_each() -> None:
    one = judged("one", 0.6, 0)
    copy = Judged("copy", one.seeds, IDS, LABELS, one.right, GROUPS)

    assert placed([one, copy]).chances == pytest.approx((0.5, 0.5))


def test_the_chance_is_that_of_a_normal_difference() -> None:
    # two equal seeds, one class: the chance that the mean of the drawn differences is above 0
    right = np.zeros((400, 2), dtype=bool)
    right[:20, 0] = True
    right[20:32, 1] = True  # 20 against 12 of 400 images
    ids, labels = tuple(f"{i:03}" for i in range(400)), np.zeros(400, dtype=np.int64)
    methods = [
        Judged(n, (1, 2), ids, labels, right[:, [i, i]], ("many",)) for i, n in enumerate("ab")
    ]

    found = placed(methods, n_resamples=40_000)

    difference = right[:, 0].astype(float) - right[:, 1]
    z = difference.mean() / (difference.std(ddof=1) / 400**0.5)
    assert found.chances[0] == pytest.approx(norm.cdf(z), abs=0.01)


def test_seeds_are_those_that_all_have() -> None:
    methods = [judged("a", 0.6, 0), judged("b", 0.6, 1, (2, 3)), judged("c", 0.6, 2, (9,))]

    found = placed(methods)

    assert found.n_seeds == 2
    assert found.left_out == ("c",)


def test_a_method_with_few_runs_changes_nothing_for_the_others() -> None:
    """One good seed of five, or one search of three: it is left out, and is said to be."""
    seeds = tuple(range(15))
    full = [judged(name, 0.6, number, seeds) for number, name in enumerate("abc")]
    full = [replace(m, searches=tuple(f"{m.label}{s // 5}" for s in seeds)) for m in full]
    one_seed = judged("few", 0.6, 3, seeds[:1])
    one_search = judged("few", 0.6, 3, seeds[:5])

    alone = placed(full)
    for few in (one_seed, one_search):
        found = placed([few, *full])
        assert found.left_out == ("few",)
        assert replace(found, left_out=()) == alone
    assert (alone.n_seeds, alone.n_searches) == (15, 3)
    text = str(first_places_text({"task": placed([one_seed, *full])}))
    assert "Left out, as they lack seeds that the others share: few." in text


def test_many_methods_are_not_left_out_for_one_with_more_seeds() -> None:
    methods = [judged("more", 0.6, 0, tuple(range(10))), judged("a", 0.6, 1), judged("b", 0.6, 2)]

    found = placed(methods)

    assert (found.n_seeds, found.left_out) == (3, ())


def test_few_runs_on_one_of_several_splits_change_nothing_for_the_others() -> None:
    full = [
        over_splits(name, [judged(name, 0.6, n), judged(name, 0.6, n + 10)])
        for n, name in enumerate("abc")
    ]
    few = over_splits("few", [judged("few", 0.6, 5), judged("few", 0.6, 6, (1,))])

    found = placed([*full, few])

    assert found.left_out == ("few",)
    assert replace(found, left_out=()) == placed(full)


def test_with_one_run_of_each_no_chance_is_known() -> None:
    """How far retrainings lie apart is in every chance, and one run does not show it."""
    one_each = [judged(name, 0.6, number, (1,)) for number, name in enumerate("ab")]

    found = placed(one_each)

    assert np.isnan(found.chances).all()
    assert found.scores[0] >= found.scores[1]
    text = " ".join(lay_out(first_places_text({"task": found}), 80))
    assert "A dash: with one run of each method" in text
    assert "nan" not in text
    assert not np.isnan(placed([over_splits(m.label, [m, m]) for m in one_each]).chances).any()


def test_among_equal_methods_the_first_is_not_sure() -> None:
    """200 leaderboards of 5 equal methods: the observed first has 95 % or more in few of them."""
    sure = 0
    for number in range(200):
        methods = [judged(str(i), 0.6, 1000 + 10 * number + i) for i in range(5)]
        sure += placed(methods, n_resamples=200).chances[0] >= 0.95
    assert sure / 200 <= 0.10


def over_splits(label: str, splits: list[Judged]) -> Judged:
    parts = tuple(replace(part, split=str(number)) for number, part in enumerate(splits))
    return replace(splits[0], label=label, splits=parts)


def test_retrainings_of_one_search_are_no_searches() -> None:
    """A method that two of three searches make the better one is not first for sure.

    Its 5 retrainings a search lie close together, and 15 of them would tell the methods apart.
    """
    gains = np.repeat([0.10, 0.10, -0.10], 5)
    uniform = RNG(0).uniform(size=(160, 15))
    seeds = tuple(range(15))
    one = Judged("one", seeds, IDS, LABELS, uniform < 0.5 + gains, GROUPS)
    other = Judged("other", seeds, IDS, LABELS, uniform < 0.5, GROUPS)
    of_one, of_other = (tuple(f"{m}{s // 5}" for s in seeds) for m in ("one", "other"))

    as_retrainings = placed([one, other])
    found = placed([replace(one, searches=of_one), replace(other, searches=of_other)])

    assert as_retrainings.n_searches == 1
    assert (found.n_searches, found.n_seeds) == (3, 15)
    # Of two searches drawn, both are the bad one in 1 of 9 draws, and one is in 4: a gain of 0.
    assert found.labels == as_retrainings.labels == ("one", "other")
    assert found.scores == as_retrainings.scores
    assert found.chances[0] == pytest.approx(4 / 9 + 4 / 9 / 2, abs=0.1)
    assert as_retrainings.chances[0] > found.chances[0] + 0.1


def test_searches_on_several_splits_are_drawn_on_each() -> None:
    of_splits: list[list[Judged]] = []
    for split in "ab":
        methods = [
            judged(name, 0.6, ord(split) + i, tuple(range(6))) for i, name in enumerate("xy")
        ]
        of_splits.append([replace(m, split=split, searches=tuple("111222")) for m in methods])
    over = [replace(of[0], splits=tuple(of)) for of in zip(*of_splits, strict=True)]

    drawn = draw(over, "task")

    assert (drawn.n_splits, drawn.n_searches, drawn.n_seeds) == (2, 2, 6)
    assert drawn.weights.shape[1] == 2


def test_a_lesion_in_the_test_sets_of_two_splits_moves_both() -> None:
    one = judged("a", 0.6, 0, seeds=(1,))
    single = draw([one], "task").scores.mean(axis=2)
    twice = draw([over_splits("a", [one, one])], "task").scores.mean(axis=2)
    # Were they drawn apart, the spread would be smaller by the root of 2.
    assert twice.std() == pytest.approx(single.std(), rel=0.06)


def test_splits_of_other_images_are_drawn_apart() -> None:
    one = judged("a", 0.6, 0, seeds=(1,))
    other = replace(one, image_ids=tuple(f"other {name}" for name in IDS))
    single = draw([one], "task").scores.mean(axis=2)
    both = draw([over_splits("a", [one, other])], "task").scores.mean(axis=2)
    assert both.std() == pytest.approx(single.std() / 2**0.5, rel=0.06)
