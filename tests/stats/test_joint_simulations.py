"""How often the joint interval holds the truth and equal methods "differ", over simulated studies.

A method has a true recall in each class. A retraining shifts its latent score in each class, images
and their lesions are hard or easy for both methods, for one method, or for one run. The methods
retrain with the same seeds, but what a seed does to one says nothing of the other. The fast form
simulates 1,000 studies of each kind (standard error 0.7 points), the slow one 4,000.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from jaxtyping import Float
from scipy.stats import norm

from lmd_bench.stats.influence import Influence, class_means, mean_weights, recall_influence
from lmd_bench.stats.joint import Joint, joint

N_STUDIES = [pytest.param(1000), pytest.param(4000, marks=pytest.mark.slow)]
OF_LESION, OF_IMAGE, OF_METHOD, OF_RUN = 1.0, 0.66, 0.6, 0.8  # SDs of the latent score


@dataclass(frozen=True)
class World:
    """A test set, and how methods are retrained."""

    n_classes: int
    n_images: int  # of each class
    n_seeds: int
    seed_sd: float  # of the shift of a class in one retraining
    lesion: int = 1  # images of one lesion

    @property
    def labels(self) -> np.ndarray:
        return np.repeat(np.arange(self.n_classes), self.n_images)

    @property
    def clusters(self) -> np.ndarray:
        return np.arange(len(self.labels)) // self.lesion

    def truth(self, level: np.ndarray) -> float:
        """Return the mean recall over images and retrainings, of latent class levels."""
        spread = OF_LESION**2 + OF_IMAGE**2 + OF_METHOD**2 + OF_RUN**2 + self.seed_sd**2
        return float(norm.cdf(level / np.sqrt(spread)).mean())

    def difficulty(self, n: int, generator: np.random.Generator) -> Float[np.ndarray, "images n"]:
        """Return what both methods of each study find hard."""
        n_lesions = len(self.labels) // self.lesion
        lesions = generator.normal(0, OF_LESION, (n_lesions, n))
        return lesions[self.clusters] + generator.normal(0, OF_IMAGE, (len(self.labels), n))

    def right(
        self, level: np.ndarray, hard: np.ndarray, generator: np.random.Generator
    ) -> Float[np.ndarray, "images n seeds"]:
        """Return 1 where a run of a method is right, for each study."""
        n_images, n = hard.shape
        own = generator.normal(0, OF_METHOD, (n_images // self.lesion, n))[self.clusters]
        shift = generator.normal(0, self.seed_sd, (self.n_classes, n, self.n_seeds))
        run = generator.normal(0, OF_RUN, (n_images, n, self.n_seeds))
        latent = level[self.labels][:, None] + hard + own
        return (latent[..., None] + shift[self.labels] + run > 0).astype(np.float64)

    def joints(self, values: np.ndarray) -> list[Joint]:
        """Return the joint interval of each study's mean over classes of some values of images."""
        n_images, n, n_seeds = values.shape
        flat = values.reshape(n_images, -1)
        weights = mean_weights(self.labels, self.n_classes)
        influence = recall_influence(self.labels, flat, weights, self.clusters)
        scores = class_means(self.labels, flat, self.n_classes).mean(axis=1).reshape(n, n_seeds)
        parts = influence.of_units.reshape(-1, n, n_seeds)
        return [
            joint(scores[i].tolist(), Influence(parts[:, i], influence.df), "test lesions")
            for i in range(n)
        ]


REFERENCE, LARGE = (7, 28), (8, 100)
WORLDS = [
    pytest.param(World(*REFERENCE, 3, 0.3), id="7x28, 3 retrainings"),
    pytest.param(World(*REFERENCE, 5, 0.2), id="7x28, 5 retrainings"),
    pytest.param(World(*REFERENCE, 5, 0.3, 2), id="7x28, 5 retrainings, lesions of 2"),
    pytest.param(World(*REFERENCE, 3, 0.3, 4), id="7x28, 3 retrainings, lesions of 4"),
    pytest.param(World(*LARGE, 3, 0.2), id="8x100, 3 retrainings"),
    pytest.param(World(*LARGE, 5, 0.3, 2), id="8x100, 5 retrainings, lesions of 2"),
]


@pytest.mark.parametrize("n", N_STUDIES)
@pytest.mark.parametrize("world", WORLDS)
def test_two_equal_methods_differ_about_5_times_in_100(world: World, n: int) -> None:
    generator = np.random.default_rng(0)
    level, hard = np.linspace(0.8, -1.6, world.n_classes), world.difficulty(n, generator)
    one, two = (world.right(level, hard, generator) for _ in range(2))

    found = world.joints(one - two)

    assert 0.03 <= np.mean([pair.p <= 0.05 for pair in found]) <= 0.07
    alone = np.mean([not pair.images.low <= 0 <= pair.images.high for pair in found])
    assert alone > 0.07  # the interval over images, which says nothing of retrainings


@pytest.mark.parametrize("n", N_STUDIES)
@pytest.mark.parametrize("world", WORLDS[::3])
def test_the_joint_interval_holds_the_true_score_and_the_true_difference(
    world: World, n: int
) -> None:
    generator = np.random.default_rng(1)
    level, hard = np.linspace(0.8, -1.6, world.n_classes), world.difficulty(n, generator)
    one, two = world.right(level + 0.3, hard, generator), world.right(level, hard, generator)

    def coverage(values: np.ndarray, truth: float) -> float:
        found = [joint.interval for joint in world.joints(values)]
        return float(np.mean([interval.low <= truth <= interval.high for interval in found]))

    assert 0.93 <= coverage(two, world.truth(level)) <= 0.97
    assert 0.93 <= coverage(one - two, world.truth(level + 0.3) - world.truth(level)) <= 0.97


@pytest.mark.parametrize("n", N_STUDIES)
def test_a_difference_as_large_as_is_detected_is_shown_about_80_times_in_100(n: int) -> None:
    """5 retrainings; what is detected at 5 %, in the quadratic mean over studies, as of an SE."""
    world, generator = World(*LARGE, 5, 0.2), np.random.default_rng(2)
    level, hard = np.linspace(0.8, -1.6, world.n_classes), world.difficulty(n, generator)
    gap = 0.212  # of the latent score, about what is detected
    one, two = world.right(level + gap, hard, generator), world.right(level, hard, generator)

    found = world.joints(one - two)

    detected = np.mean([pair.detectable() ** 2 for pair in found]) ** 0.5
    assert world.truth(level + gap) - world.truth(level) == pytest.approx(detected, rel=0.03)
    assert 0.76 <= np.mean([pair.p <= 0.05 for pair in found]) <= 0.84
