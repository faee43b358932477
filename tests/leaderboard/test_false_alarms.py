"""How often the commands themselves cry wolf, and what intervals over splits and searches hold.

`compare`, `ablate`, `transfer` and the crossings of `imbalance` all measure a difference by
`measure`, so what holds of its interval holds of each of them.
"""

from dataclasses import replace

import numpy as np
import pytest

from lmd_bench.leaderboard.compare import compare
from lmd_bench.leaderboard.imbalance.crossings import Gap
from lmd_bench.leaderboard.leaders import leaders_of
from lmd_bench.leaderboard.line import BoardLine
from lmd_bench.leaderboard.repeats import pooled
from lmd_bench.leaderboard.studies.measure import measure
from lmd_bench.leaderboard.studies.predictions import Judged
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import Joint
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.spread import Spread
from tests.stats.test_joint_simulations import LARGE, REFERENCE, World

N_STUDIES = [pytest.param(500), pytest.param(2000, marks=pytest.mark.slow)]
WORLDS = [
    pytest.param(World(*REFERENCE, 3, 0.3, 2), id="7x28, 3 retrainings, lesions of 2"),
    pytest.param(World(*LARGE, 5, 0.3, 2), id="8x100, 5 retrainings, lesions of 2"),
]
UNKNOWN = Interval(float("nan"), float("nan"), "")


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


def line(score: float, split: int, search: int, images: float, n_seeds: int = 5) -> BoardLine:
    """Return the line of one search on one split, with an interval over images of that SE."""
    over = Interval(score - 1.96 * images, score + 1.96 * images, "test lesions")
    spread = Spread(score, 0.01, n_seeds)
    return BoardLine(
        **{"task": f"t{split}", "dataset": "toy", "protocol": "balanced", "n_classes": 7},
        **{"imbalance_factor": 100.0, "image_size": 32, "split_seed": split, "n_max": None},
        **{"task_fingerprint": f"f{split}", "chance": 1 / 7, "n_train": 900, "n_largest": 500},
        **{"method": "m", "study": f"{split}/{search}", "n_epochs": 10, "repeat_of": "same"},
        **{"n_seeds": n_seeds, "n_seeds_failed": 0, "default_n_seeds": 0},
        **{"default_n_seeds_failed": 0, "default_was_selected": False, "n_trials": 8},
        **{"val_balanced_accuracy": score, "n_trials_ok": 8, "seconds": 1.0},
        **{"standalone_seconds": 1.0, "selected_key": "k", "rule": "r", "budget": ""},
        watermark="",
        test={PRIMARY.name: spread},
        default_test={PRIMARY.name: spread},
        joint=Joint(score, n_seeds, 0.01, 10.0, over, over, UNKNOWN, 0.5),
        asked={},
    )


@pytest.mark.parametrize(
    ("n_splits", "n_searches"), [(5, 1), (3, 2), (1, 3), (1, 5)], ids=lambda number: str(number)
)
def test_intervals_over_splits_and_over_searches_hold_the_truth(n_splits, n_searches) -> None:
    """Scores move by 2 points over test sets, by 2 over searches and by 1.5 over splits."""
    generator, truth, held, n = np.random.default_rng(0), 0.6, 0, 1500
    for _ in range(n):
        of_splits = truth + generator.normal(0, 0.02, n_splits)  # images of its own
        if n_splits > 1:
            of_splits += generator.normal(0, 0.015, n_splits)
        scores = of_splits[:, None] + generator.normal(0, 0.02, (n_splits, n_searches))
        lines = [
            line(float(scores[split, search]), split, search, 0.02)
            for split in range(n_splits)
            for search in range(n_searches)
        ]
        (one,) = pooled(lines)
        held += one.joint.interval.low <= truth <= one.joint.interval.high

    assert 0.93 <= held / n <= 0.97


def test_a_line_alone_is_no_repeat() -> None:
    alone = replace(line(0.6, 0, 0, 0.02), repeat_of="")
    assert pooled([alone]) == [alone]


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
