"""How often the commands themselves cry wolf, and what intervals over splits and searches hold.

`compare`, `ablate`, `transfer` and the crossings of `imbalance` all measure a difference by
`measure`, so what holds of its interval holds of each of them.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from lmd_bench.leaderboard.compare import compare
from lmd_bench.leaderboard.imbalance.crossings import Gap
from lmd_bench.leaderboard.leaders import leaders_of
from lmd_bench.leaderboard.studies.measure import measure, measure_splits
from lmd_bench.leaderboard.studies.predictions import Judged
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.splits import over_splits, shared_images
from tests.stats.test_joint_simulations import LARGE, REFERENCE, World

N_STUDIES_OVER_SPLITS = [pytest.param(150), pytest.param(1000, marks=pytest.mark.slow)]
N_STUDIES = [pytest.param(500), pytest.param(2000, marks=pytest.mark.slow)]
WORLDS = [
    pytest.param(World(*REFERENCE, 3, 0.3, 2), id="7x28, 3 retrainings, lesions of 2"),
    pytest.param(World(*LARGE, 5, 0.3, 2), id="8x100, 5 retrainings, lesions of 2"),
]


def judged(world: World, label: str, right: np.ndarray) -> Judged:
    ids = tuple(str(number) for number in range(len(world.labels)))
    groups = ("many",) * world.n_classes
    seeds = tuple(range(world.n_seeds))
    return Judged(label, seeds, ids, world.labels, right > 0, groups, world.clusters)


@pytest.mark.parametrize("n", N_STUDIES)
@pytest.mark.parametrize("world", WORLDS)
def test_each_command_tells_equal_methods_apart_about_5_times_in_100(world: World, n: int) -> None:
    generator = np.random.default_rng(5)
    level, hard = np.linspace(0.8, -1.6, world.n_classes), world.difficulty(n, generator)
    one, two = (world.right(level, hard, generator) for _ in range(2))
    differ, beyond, marked_apart = 0, 0, 0
    for study in range(n):
        a, b = judged(world, "a", one[:, study]), judged(world, "b", two[:, study])
        ((pair,), _) = compare(a, [b], world.clusters, (PRIMARY.name,))
        differ += pair.p_holm <= 0.05
        found = measure([(1.0, a), (-1.0, b)], a.seeds, lesions=world.clusters)
        beyond += Gap(100.0, "IF 100", found.value, found).verdict == "beyond"
        marked_apart += bool(leaders_of({"task": [a, b]})[0].behind)

    assert 0.03 <= differ / n <= 0.07
    assert beyond == differ == marked_apart


@pytest.mark.parametrize("n", N_STUDIES_OVER_SPLITS)
@pytest.mark.parametrize(("kind", "n_splits"), [("random", 5), ("folds", 5), ("folds", 10)])
def test_intervals_over_splits_of_one_data_set_hold_the_truth(
    kind: str, n_splits: int, n: int
) -> None:
    """4 classes of 120 lesions; a quarter or a fifth is test; models differ from split to split.

    The truth is of lesions that nobody saw: what splits share of the test images is in all of them.
    """
    generator, n_classes, n_lesions = np.random.default_rng(3), 4, 120
    level = np.linspace(0.8, -0.8, n_classes)
    truth = np.mean(norm.cdf(level / np.sqrt(1 + 0.15**2 + 0.5)))
    held, held_alike = 0, 0
    for _ in range(n):
        lesion = generator.normal(0, 1, (n_classes, n_lesions))
        parts: list[Judged] = []
        order = np.argsort(generator.uniform(size=(n_classes, n_lesions)), axis=1)
        for split in range(n_splits):
            if kind == "folds" and split % 5 == 0 or kind == "random":
                order = np.argsort(generator.uniform(size=(n_classes, n_lesions)), axis=1)
            of_fold = order[:, (split % 5) * 24 :][:, :24]
            places = of_fold if kind == "folds" else order[:, :30]
            labels = np.repeat(np.arange(n_classes), places.shape[1])
            ids = tuple(f"{c}/{p}" for c, p in zip(labels, places.ravel(), strict=True))
            trained = level + generator.normal(0, 0.15, n_classes)
            latent = trained[labels] + lesion[labels, places.ravel()]
            right = latent[:, None] + generator.normal(0, 0.5**0.5, (len(labels), 3)) > 0
            groups = ("many",) * n_classes
            parts.append(Judged("m", (0, 1, 2), ids, labels, right, groups, split=str(split)))
        over = measure_splits([(1.0, replace(parts[0], splits=tuple(parts)))])
        held += over.interval.low <= truth <= over.interval.high
        alike = over_splits(
            [measure([(1.0, part)], part.seeds) for part in parts],
            shared_images([(part.image_ids, part.labels) for part in parts], n_classes),
        )
        held_alike += alike.interval.low <= truth <= alike.interval.high

    # two standard errors of the number of studies beside 93 and 97 %
    assert 0.93 - 2 * (0.07 * 0.93 / n) ** 0.5 <= held / n <= 0.97 + 2 * (0.03 * 0.97 / n) ** 0.5
    assert 0.93 - 2 * (0.07 * 0.93 / n) ** 0.5 <= held_alike / n


@pytest.mark.parametrize("n", N_STUDIES_OVER_SPLITS)
def test_equal_methods_differ_over_five_splits_about_5_times_in_100(n: int) -> None:
    """Each split trains both anew; 40 lesions of each of 5 classes, of which half is test."""
    generator, n_classes, differ = np.random.default_rng(4), 5, 0
    level = np.linspace(0.8, -1.2, n_classes)
    for _ in range(n):
        lesion = generator.normal(0, 1, (n_classes, 40))
        splits: dict[str, list[Judged]] = {"a": [], "b": []}
        for number in range(5):
            places = np.argsort(generator.uniform(size=(n_classes, 40)), axis=1)[:, :20]
            labels = np.repeat(np.arange(n_classes), 20)
            ids = tuple(f"{c}/{p}" for c, p in zip(labels, places.ravel(), strict=True))
            for name, parts in splits.items():
                trained = level + generator.normal(0, 0.25, n_classes)
                latent = (trained[labels] + lesion[labels, places.ravel()])[:, None]
                right = latent + generator.normal(0, 0.8, (len(labels), 2)) > 0
                groups = ("many",) * n_classes
                parts.append(Judged(name, (0, 1), ids, labels, right, groups, split=str(number)))
        a, b = (replace(parts[0], splits=tuple(parts)) for parts in splits.values())
        ((pair,), _) = compare(a, [b], None, (PRIMARY.name,))
        differ += pair.p_holm <= 0.05

    assert 0.03 - 2 * (0.03 * 0.97 / n) ** 0.5 <= differ / n <= 0.07 + 2 * (0.07 * 0.93 / n) ** 0.5


@pytest.mark.parametrize("n", N_STUDIES)
def test_repeated_searches_are_draws_and_their_retrainings_are_not(n: int) -> None:
    """Each of 4 searches finds another config; its 3 retrainings share what it found."""
    world, generator = World(*LARGE, 12, 0.2), np.random.default_rng(6)
    level, hard = np.linspace(0.8, -1.6, world.n_classes), world.difficulty(n, generator)
    searches = tuple(str(seed // 3) for seed in range(12))
    differ, wrongly = 0, 0
    runs: list[np.ndarray] = []
    for _ in range(2):
        found = generator.normal(0, 0.3, (world.n_classes, n, 4)).repeat(3, axis=2)
        runs.append(found)
    one, two = (_right(world, level, hard, found, generator) for found in runs)
    for study in range(n):
        a, b = judged(world, "a", one[:, study]), judged(world, "b", two[:, study])
        together = replace(a, searches=searches), replace(b, searches=searches)
        found = measure([(1.0, together[0]), (-1.0, together[1])], a.seeds, lesions=world.clusters)
        alone = measure([(1.0, a), (-1.0, b)], a.seeds, lesions=world.clusters)
        differ += found.p <= 0.05
        wrongly += alone.p <= 0.05

    assert 0.03 <= differ / n <= 0.07
    assert wrongly / n > 0.08  # as if 12 retrainings were 12 searches


def _right(world, level, hard, found, generator) -> np.ndarray:
    """Return 1 where a run is right, each with the shift of its search."""
    run = generator.normal(0, 0.8, (*hard.shape, found.shape[2]))
    shift = found + generator.normal(0, world.seed_sd, found.shape)
    latent = level[world.labels][:, None] + hard
    return (latent[..., None] + shift[world.labels] + run > 0).astype(np.float64)
