"""Interquartile means and profiles over tasks, from draws of images and retrainings."""

import numpy as np
import pytest
from scipy.stats import norm

from lmd_bench.leaderboard.draws import TaskDraws, draw
from lmd_bench.leaderboard.over_tasks import THRESHOLDS, over_tasks, over_tasks_text
from lmd_bench.leaderboard.studies.predictions import Judged
from lmd_bench.leaderboard.tables.text import lay_out
from lmd_bench.stats.aggregates import above_chance, interquartile_mean

RNG = np.random.default_rng
N_CLASSES, PER_CLASS, SEEDS = 4, 30, (1, 2, 3, 4, 5)
LABELS = np.repeat(np.arange(N_CLASSES), PER_CLASS)
GROUPS = ("many", "many", "medium", "few")
LESIONS = np.arange(len(LABELS)) // 2


def of_images(label: str, right: np.ndarray, dataset: str = "toy") -> Judged:
    ids = tuple(f"{dataset}{i:03}" for i in range(len(LABELS)))
    return Judged(label, SEEDS[: right.shape[1]], ids, LABELS, right, GROUPS, LESIONS)


def judged(label: str, recall: float, seed: int, dataset: str = "toy", n: int = 5) -> Judged:
    return of_images(label, RNG(seed).uniform(size=(len(LABELS), n)) < recall, dataset)


def drawn(recalls: dict[str, float], seed: int, dataset: str = "toy", n: int = 5) -> TaskDraws:
    methods = [
        judged(label, r, seed + i, dataset, n) for i, (label, r) in enumerate(recalls.items())
    ]
    return draw(methods, f"task {seed}", n_resamples=200)


def test_tasks_with_the_same_test_images_have_the_same_images_drawn() -> None:
    """What is common to the factors of a data set does not average out over them."""
    method = judged("crt", 0.6, 0)
    one, same, other = (
        draw([of_images("crt", method.right, dataset)], task, n_resamples=50)
        for task, dataset in (("IF 10", "toy"), ("IF 100", "toy"), ("IF 10", "other"))
    )
    assert np.array_equal(one.scores, same.scores)
    assert not np.array_equal(one.scores, other.scores)
    assert not np.array_equal(one.weights, same.weights)  # retrainings are the task's own


def test_methods_are_ordered_and_those_that_lack_a_task_are_named() -> None:
    tasks = {
        "a": drawn({"worse": 0.4, "better": 0.8, "alone": 0.9}, 0),
        "b": drawn({"worse": 0.5, "better": 0.8}, 10, "other"),
    }
    over = over_tasks(tasks)
    assert over is not None
    assert over.methods == ("better", "worse")
    assert over.left_out == ("alone",)
    assert over.n_runs == 10
    assert over.first.tolist() == [1.0, 0.0]
    scores = [
        above_chance(task.observed[task.labels.index("better")], N_CLASSES)
        for task in tasks.values()
    ]
    expected = interquartile_mean(np.concatenate(scores), np.ones(10))
    assert over.iqm.values[0] == pytest.approx(expected)
    assert over.iqm.low[0] < over.iqm.values[0] < over.iqm.high[0]
    assert over.profiles.values[0, [0, -1]].tolist() == [1.0, 0.0]
    half = THRESHOLDS.tolist().index(0.5)
    assert over.profiles.values[0, half] == 1.0
    assert over.profiles.values[1, half] == 0.0
    assert list(over.profile_frame.columns) == ["method", "above", "share", "low", "high"]
    assert len(over.profile_frame) == 2 * len(THRESHOLDS)


def test_a_task_of_few_runs_weighs_as_much_as_one_of_many() -> None:
    tasks = {"a": drawn({"crt": 0.4}, 0, n=1), "b": drawn({"crt": 0.9}, 10, "other", n=5)}
    over = over_tasks(tasks)
    assert over is not None
    low, *high = (above_chance(task.observed[0], N_CLASSES) for task in tasks.values())
    # A quarter is cut off on either side: half of the low run stays, and half of the high ones.
    upper = np.sort(high[0])
    lower_half = (upper[0] + upper[1] + upper[2] / 2) / 2.5
    assert over.iqm.values[0] == pytest.approx((low[0] + lower_half) / 2)


def test_one_task_or_no_common_method_has_nothing_over_tasks() -> None:
    assert over_tasks({"a": drawn({"crt": 0.5, "lmd": 0.5}, 0)}) is None
    assert over_tasks({"a": drawn({"crt": 0.5}, 0), "b": drawn({"lmd": 0.5}, 1)}) is None


def test_of_fewer_than_four_runs_it_says_that_it_is_the_mean() -> None:
    few = over_tasks({"a": drawn({"crt": 0.4}, 0, n=1), "b": drawn({"crt": 0.9}, 1, n=1)})
    assert few is not None
    text = " ".join(lay_out(over_tasks_text(few), 80))
    assert "Of 2 runs of each method, the interquartile mean is the mean." in text
    assert few.iqm.values[0] == pytest.approx(few.profiles.values[0].mean(), abs=0.05)


def test_with_one_run_of_each_on_a_task_no_bound_is_known() -> None:
    methods = {"crt": 0.4, "lmd": 0.6}
    over = over_tasks({"a": drawn(methods, 0, n=1), "b": drawn(methods, 10, "other")})
    assert over is not None
    assert np.isfinite(over.iqm.values).all()
    for unknown in (over.iqm.low, over.iqm.high, over.first, over.profiles.low, over.profiles.high):
        assert np.isnan(unknown).all()
    text = " ".join(lay_out(over_tasks_text(over), 80))
    assert "A dash: on a task with one run of each method" in text
    assert "nan" not in text


def covered(n_simulations: int, n_resamples: int = 200) -> float:
    """Return how often the interval holds the interquartile mean of all runs and images there are.

    Two data sets with three factors each. The factors share their test images, of which some are
    harder than others for all models, and lesions have two images.
    """
    hits: list[bool] = []
    skills = (0.9, 0.5, 0.1, 0.4, 0.0, -0.3)
    spread, hard = 0.15, 0.8
    runs = RNG(99).normal(0, spread, (4000, len(skills))) + np.array(skills)
    truth = norm.cdf(runs / np.sqrt(1 + hard**2)).ravel()
    expected = interquartile_mean(above_chance(truth, N_CLASSES), np.ones(truth.size))
    for number in range(n_simulations):
        rng = RNG(number)
        tasks: dict[str, TaskDraws] = {}
        for dataset in range(2):
            lesions = rng.normal(0, hard, LESIONS.max() + 1)[LESIONS]
            for skill in skills[3 * dataset : 3 * dataset + 3]:
                latent = rng.normal(skill, spread, len(SEEDS)) + lesions[:, None]
                right = latent + rng.normal(size=(len(LABELS), len(SEEDS))) > 0
                task = f"{number} {dataset} {skill}"
                methods = [of_images("crt", right, f"{number} {dataset}")]
                tasks[task] = draw(methods, task, n_resamples=n_resamples)
        over = over_tasks(tasks)
        assert over is not None
        hits.append(bool(over.iqm.low[0] <= expected <= over.iqm.high[0]))
    return float(np.mean(hits))


def test_the_interval_holds_the_interquartile_mean_of_all_runs_and_images() -> None:
    assert 0.90 <= covered(100) <= 0.99
