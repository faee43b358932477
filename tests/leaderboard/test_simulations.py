"""How often intervals hold the truth and tests cry wolf, over 1,000 simulated leaderboards each.

The leaderboards are columns of one array, judged on the same draws of the bootstrap, so that a
thousand of them take a second. A count of 1,000 has a standard error of 0.7 points at 95 %.
"""

import numpy as np
import pytest
from scipy.stats import t

from lmd_bench.leaderboard.first_places import chances_of_first
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.tuning import tuning_gain
from lmd_bench.leaderboard.uncertainty import procedure_spread
from lmd_bench.stats.bootstrap import mean_recall, resampled_recall
from lmd_bench.stats.influence import class_means, mean_weights, recall_influence
from lmd_bench.stats.intervals import seed_interval
from lmd_bench.stats.paired import mcnemar
from lmd_bench.stats.proportions import recall_interval
from lmd_bench.stats.ranks import differences

RNG = np.random.default_rng
N = 1000  # leaderboards
N_RESAMPLES = 500
THOUSAND = pytest.param(1000, marks=pytest.mark.slow)  # where 1,000 take more than 5 s


def boards(labels, recall, n_models: int, generator, agree: float = 0.5) -> np.ndarray:
    """Return what is right: images x (leaderboards x models), models of a board side by side.

    Args:
        labels: Class of each image.
        recall: Of each model and class, models x classes.
        n_models: Models of each leaderboard.
        generator: Draws everything.
        agree: Share of the images on which the models of a leaderboard see the same difficulty.
    """
    shape = (len(labels), N, n_models)
    shared = generator.uniform(size=(len(labels), N, 1))
    level = np.where(generator.uniform(size=(len(labels), N, 1)) < agree, shared, 0)
    level = np.where(level > 0, level, generator.uniform(size=shape))
    return (level < np.asarray(recall)[:, labels].T[:, None, :]).reshape(len(labels), -1)


def coverage(
    labels: np.ndarray,
    right: np.ndarray,
    truth: float,
    clusters: np.ndarray | None = None,
    classes: np.ndarray | None = None,
) -> float:
    """Return the share of the columns whose 95 % interval over images holds the truth."""
    n_classes = int(labels.max()) + 1
    influence = recall_influence(labels, right, mean_weights(labels, n_classes, classes), clusters)
    score = mean_recall(class_means(labels, right, n_classes), classes)
    half = t.ppf(0.975, influence.df) * np.sqrt(influence.variance())
    return float(np.mean(np.abs(score - truth) <= half))


@pytest.mark.parametrize(
    "n_images", [(30,) * 8, (200, 120, 80, 50, 40, 30, 30, 30)], ids=["balanced", "long-tailed"]
)
def test_the_interval_over_images_covers_the_true_balanced_accuracy(n_images) -> None:
    recall, generator = np.linspace(0.9, 0.3, 8), RNG(0)
    labels = np.repeat(np.arange(8), n_images)
    right = boards(labels, recall[None], 1, generator).astype(float)

    assert 0.93 <= coverage(labels, right, recall.mean()) <= 0.97


def test_the_interval_over_lesions_covers_where_the_one_over_images_does_not() -> None:
    """4 classes with 40 lesions of 4 images each, which are right or wrong as one."""
    lesions, generator = np.repeat(np.arange(4), 40), RNG(1)
    right = np.repeat(boards(lesions, np.full((1, 4), 0.6), 1, generator), 4, axis=0).astype(float)
    labels, clusters = np.repeat(lesions, 4), np.repeat(np.arange(160), 4)

    assert 0.93 <= coverage(labels, right, 0.6, clusters) <= 0.97
    assert coverage(labels, right, 0.6) < 0.80


def test_the_interval_of_a_difference_covers_the_true_one_over_all_classes_and_in_a_group() -> None:
    """4 classes of 40 images, two methods 10 points apart in the first two classes."""
    recall = np.array([[0.9, 0.8, 0.5, 0.4], [0.8, 0.7, 0.5, 0.4]])
    labels, generator = np.repeat(np.arange(4), 40), RNG(2)
    right = boards(labels, recall, 2, generator).astype(float)
    differ = right[:, 0::2] - right[:, 1::2]

    assert 0.93 <= coverage(labels, differ, 0.05) <= 0.97
    many = np.array([True, True, False, False])
    assert 0.93 <= coverage(labels, differ, 0.1, classes=many) <= 0.97


def test_mcnemar_cries_wolf_at_most_5_times_in_100() -> None:
    labels = np.repeat(np.arange(4), 40)
    right = boards(labels, np.full((2, 4), 0.6), 2, RNG(5))

    found = [mcnemar(right[:, i], right[:, i + 1]).p <= 0.05 for i in range(0, 2 * N, 2)]

    assert np.mean(found) <= 0.064


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_the_interval_over_seeds_covers_the_mean_of_all_retrainings(n_seeds: int) -> None:
    generator = RNG(6)
    found = [seed_interval(generator.normal(0.6, 0.02, n_seeds).tolist()) for _ in range(N)]

    assert 0.93 <= np.mean([one.low <= 0.6 <= one.high for one in found]) <= 0.97


@pytest.mark.parametrize(("n_images", "most"), [(4, 1.0), (25, 0.99), (60, 0.97), (400, 0.97)])
def test_the_interval_of_a_class_covers_its_recall(n_images: int, most: float) -> None:
    """1,000 classes of recall .3 to .95: exact below 30 images, so too wide rather than not."""
    generator = RNG(7)
    recall = generator.uniform(0.3, 0.95, N)

    low, high = recall_interval(
        generator.binomial(n_images, recall), np.full(N, n_images, dtype=np.int64)
    )

    assert 0.93 <= np.mean((low <= recall) & (recall <= high)) <= most


def test_the_interval_of_a_class_over_several_seeds_is_wider_than_needed_never_narrower() -> None:
    """3 seeds that agree on 4 images in 5: the mean over them is less sure than it may be."""
    generator, n_images = RNG(8), 25
    labels = np.zeros(n_images, dtype=np.int64)
    right = boards(labels, np.full((3, 1), 0.6), 3, generator, agree=0.8)
    mean = right.reshape(n_images, N, 3).mean(axis=(0, 2))

    low, high = recall_interval(mean * n_images, np.full(N, n_images, dtype=np.int64))

    assert np.mean((low <= 0.6) & (high >= 0.6)) >= 0.95


@pytest.mark.parametrize("n_boards", [400, THOUSAND])
def test_first_places_that_seem_sure_are_right(n_boards: int) -> None:
    """5 methods whose true recall is drawn anew for every 10 leaderboards; images drawn again."""
    labels, generator = np.repeat(np.arange(4), 40), RNG(9)
    right_when_sure: list[bool] = []
    for _ in range(n_boards // 10):
        level = generator.normal(0.6, 0.08, 5)
        right = generator.uniform(size=(160, 10, 5)) < level
        samples = mean_recall(
            resampled_recall(labels, right.reshape(160, -1).astype(float), 4, generator, None, 400)
        )
        for board in samples.reshape(400, 10, 5).transpose(1, 0, 2):
            chances = chances_of_first(board)
            if chances.max() >= 0.95:
                right_when_sure.append(bool(chances.argmax() == level.argmax()))

    n_sure = len(right_when_sure)
    assert n_sure > n_boards / 6
    # 95 % less two standard errors
    assert np.mean(right_when_sure) >= 0.95 - 2 * (0.95 * 0.05 / n_sure) ** 0.5


def test_among_equal_methods_the_first_place_is_seldom_sure() -> None:
    labels, generator = np.repeat(np.arange(4), 40), RNG(10)
    right = boards(labels, np.full((5, 4), 0.6), 5, generator, agree=0.0)
    samples = mean_recall(
        np.concatenate(  # ten sets of draws
            [
                resampled_recall(labels, part.astype(float), 4, generator, None, N_RESAMPLES)
                for part in np.array_split(right, 10, axis=1)
            ],
            axis=1,
        )
    ).reshape(N_RESAMPLES, N, 5)

    sure = [chances_of_first(board).max() >= 0.95 for board in samples.transpose(1, 0, 2)]

    assert np.mean(sure) <= 0.10


def _study(val, test: dict[int, list[float]]) -> StudyRows:
    """Return a study of plain rows: val score of each trial, test scores of confirmed ones."""
    trials = [
        {"phase": "search", "trial_number": i, "key": str(i), "val_balanced_accuracy": float(v)}
        | {"is_default": i == 0, "source_key": "", "seed": 0, "status": "ok"}
        for i, v in enumerate(val)
    ]
    runs = [
        {"phase": "confirm", "source_key": str(i), "key": f"{i}/{seed}", "seed": seed}
        | {"status": "ok", "test_balanced_accuracy": float(score)}
        for i, scores in test.items()
        for seed, score in enumerate(scores)
    ]
    return StudyRows("task", "crt", "study", "crt", (*trials, *runs))


def test_the_interval_over_seeds_of_what_tuning_gains_covers_the_true_gain() -> None:
    """8 configurations selected on a noisy val; the selected one and the default on 3 seeds."""
    generator = RNG(13)
    held: list[bool] = []
    while len(held) < N:
        config = generator.normal(0.6, 0.04, 8)
        val = config + generator.normal(0, 0.03, 8)
        best = int(val.argmax())
        if best == 0:
            continue
        luck = generator.normal(0, 0.01, 3)  # of a seed, shared by its runs
        test = {i: (config[i] + luck + generator.normal(0, 0.02, 3)).tolist() for i in (0, best)}
        gain = tuning_gain(_study(val, test), RULE)
        assert gain is not None
        seeds = gain.gain.seeds
        held.append(seeds.low <= config[best] - config[0] <= seeds.high)

    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.parametrize("n_searches", [200, THOUSAND])
@pytest.mark.parametrize(("ceiling", "least", "most"), [(False, 0.5, 0.7), (True, 0.75, 1.25)])
def test_the_replayed_search_gives_its_spread_as_its_docstring_says(
    ceiling: bool, least: float, most: float, n_searches: int
) -> None:
    """Searches of a default and 15 trials, whose scores are normal or pile up at a top."""
    generator, shape = RNG(14), (n_searches, 16)
    normal, piled = generator.normal(0.5, 0.05, shape), 0.7 - generator.exponential(0.08, shape)
    val = piled if ceiling else normal
    val[:, 0] = 0.45

    found = [procedure_spread(_study(row, {}), RULE) for row in val]

    replayed = np.mean([one.score_sd for one in found if one is not None])
    assert least <= replayed / val.max(axis=1).std(ddof=1) <= most


def test_one_better_method_among_equal_ones_makes_no_other_pair_differ() -> None:
    """12 tasks, 4 methods, one 20 points above: Holm's promise holds for the three equal ones."""
    generator = RNG(11)
    false, true = 0, 0
    for _ in range(N // 4):
        scores = generator.normal(size=(12, 4)) * 0.02 + generator.uniform(0.3, 0.7, (12, 1))
        scores[:, 0] += 0.2
        found = {(p.first, p.second): p.p_holm <= 0.05 for p in differences(scores).pairs}
        true += all(found[0, other] for other in (1, 2, 3))
        false += any(found[pair] for pair in ((1, 2), (1, 3), (2, 3)))

    assert false / (N // 4) <= 0.08  # 5 % and two standard errors of 250
    assert true == N // 4
