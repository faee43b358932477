"""--prior: some draws near the default, many at first and ever fewer.

A search draws from a mixture: near the default with probability beta / n in trial n, with beta a
tenth of the budget, else from the sampler, which learns of both. So a good default is refined early
and a bad one costs a few trials. The decay and beta are piBO's, which multiplies an acquisition by
prior ** (beta / n); an estimator by ratios of densities such as TPE has no place for such a factor
that Optuna lets one reach. A mixture with a normal around the default is what PriorBand samples.

Papers: Hvarfner et al., piBO: Augmenting Acquisition Functions with User Beliefs, 2022, section 4;
Mallik et al., PriorBand: Practical Hyperparameter Optimization in the Age of Deep Learning, 2023.
URL: https://arxiv.org/abs/2204.11051, https://arxiv.org/abs/2306.12370
"""

from collections.abc import Iterator
from random import Random

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Config, Scalar
from lmd_bench.core.seeding import derive_seed
from lmd_bench.methods.space import Space, place_of, value_at
from lmd_bench.search.proposing.samplers import LASTING, SAMPLERS

SD = 0.25  # of the normal, in widths of the range; PriorBand's
KEPT = 0.5  # chance that what is chosen among names stays at the default's
SHARE = 0.1  # beta is this share of the budget; piBO's
TYPICAL = 20  # trials, where the budget is hours


def chance_of_prior(number: int, n_trials: int | None) -> float:
    """Return the chance that a trial is drawn near the default.

    Args:
        number: Of the trial; the default is 0.
        n_trials: Budget of the study; None: not known beforehand.
    """
    beta = max(1.0, SHARE * (n_trials or TYPICAL))
    return min(1.0, beta / max(1, number))


def draws_near(
    space: Space, default: Config, number: int, n_trials: int | None, seed: int
) -> Iterator[dict[str, Scalar]]:
    """Yield draws near the default, always the same for a trial; none where chance spares it.

    Args:
        space: Of the study.
        default: What it starts from.
        number: Of the trial.
        n_trials: Budget of the study; None: not known beforehand.
        seed: Of the study's sampler.
    """
    draw = Random(derive_seed(seed, number, "prior"))
    if draw.random() < chance_of_prior(number, n_trials):
        while True:
            yield near(space, default, draw)


def near(space: Space, default: Config, draw: Random) -> dict[str, Scalar]:
    """Return a config near the default; what the default says nothing of is drawn evenly."""
    return {key: _near(within, default.get(key), draw) for key, within in space.items()}


def check_prior(sampler: str) -> None:
    """Check that a sampler can share a study with draws that are not its own.

    Raises:
        UserError: it counts on its own trials alone.
    """
    if sampler in LASTING:
        others = ", ".join(sorted(SAMPLERS.keys() - LASTING))
        raise UserError(
            f"The sampler {sampler} goes by its own trials alone, so prior has no place in it; "
            f"leave prior out, or choose from {others}."
        )


def _near(within: BaseDistribution, default: Scalar | None, draw: Random) -> Scalar:
    if isinstance(within, CategoricalDistribution):
        choices = [choice for choice in within.choices if choice is not None]
        if default is not None and default in choices and draw.random() < KEPT:
            return default
        return draw.choice(choices)
    assert isinstance(within, FloatDistribution | IntDistribution)
    if default is None:
        return value_at(within, draw.random())
    # A person's range may leave the default outside.
    centre = min(max(place_of(within, default), 0.0), 1.0)
    place = draw.gauss(centre, SD)
    while not 0.0 <= place <= 1.0:
        place = draw.gauss(centre, SD)
    return value_at(within, place)
