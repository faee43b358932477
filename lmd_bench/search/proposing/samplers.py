"""Optuna's samplers by name, with every argument that its versions disagree on given."""

import importlib.util
import warnings
from collections.abc import Callable

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from lmd_bench.core.errors import UserError, unknown

N_STARTUP = 10  # random trials before a model is fitted, at most
LEARNS_FROM = 20  # trials of a study; with fewer, a model would be fitted to next to nothing
MODELS = frozenset({"tpe", "gp", "cmaes"})  # these fit a model to the trials before
N_POPULATION = 10  # trials of a generation; Optuna's 50 are more than most studies have


def startup_of(n_trials: int | None) -> int:
    """Return how many trials of a study are drawn at random before a sampler fits its model.

    Args:
        n_trials: Budget of the study: all of a small one, a third of others, 10 at most. None: not
            known beforehand.
    """
    if n_trials is None:
        return N_STARTUP
    return n_trials if n_trials < LEARNS_FROM else min(N_STARTUP, n_trials // 3)


def draws_at_random(name: str, budget: int | None, most: int) -> bool:
    """Return whether a sampler draws all trials of a study at random, as random search does.

    Args:
        name: Of the sampler.
        budget: Trials of the study; None: not known beforehand.
        most: Trials that it comes to at most.
    """
    n_trials = most if budget is None else min(budget, most)
    if name in MODELS:
        return startup_of(budget) >= n_trials
    # The first generation has no parents.
    return name == "random" or (name == "nsga2" and n_trials <= N_POPULATION)


def tpe(seed: int, n_startup: int = N_STARTUP) -> TPESampler:
    """Return a tree-structured Parzen estimator.

    The arguments that Optuna 5 deprecates are not given: it warns of each, and keeps the values
    they had.
    """
    return TPESampler(
        n_startup_trials=n_startup,
        n_ei_candidates=24,
        seed=seed,
        multivariate=True,
        group=False,
        constant_liar=True,
    )


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": tpe,
    "random": lambda seed, n_startup: RandomSampler(seed=seed),
    "cmaes": lambda seed, n_startup: CmaEsSampler(
        n_startup_trials=n_startup, seed=seed, warn_independent_sampling=False
    ),
    "gp": lambda seed, n_startup: GPSampler(
        n_startup_trials=n_startup, seed=seed, deterministic_objective=False
    ),
    "nsga2": lambda seed, n_startup: NSGAIISampler(population_size=N_POPULATION, seed=seed),
    "qmc": lambda seed, n_startup: QMCSampler(
        scramble=True, seed=seed, warn_independent_sampling=False, warn_asynchronous_seeding=False
    ),
}
# These count on their own trials, so a study keeps one of them; the others are made anew for each
# trial, so that what it draws does not depend on when the search was resumed.
LASTING = frozenset({"cmaes", "nsga2", "qmc"})
_NEEDS = {"cmaes": "cmaes"}  # sampler -> the package that Optuna imports for it


def make_sampler(name: str, seed: int, n_startup: int = N_STARTUP) -> BaseSampler:
    """Return the sampler of that name.

    Args:
        name: Of the sampler.
        seed: Of its draws.
        n_startup: Random trials before it fits a model, if it fits one.

    Raises:
        UserError: no sampler of that name, or its package is not installed.
    """
    check_sampler(name)
    with warnings.catch_warnings():
        # Optuna 4 calls some of what is used here experimental.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name](seed, n_startup)


def check_sampler(name: str, n_objectives: int = 1) -> None:
    """Check that a sampler can be had.

    Raises:
        UserError: no sampler of that name, one of a single objective asked for several, or its
            package is not installed.
    """
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    if n_objectives > 1 and name == "cmaes":
        raise UserError("The sampler cmaes takes one objective; choose tpe, nsga2 or another.")
    package = _NEEDS.get(name)
    if package and importlib.util.find_spec(package) is None:
        raise UserError(
            f"The sampler {name} needs the package {package}; install it with `pip install "
            f"{package}`, or choose another --sampler."
        )
