"""Optuna behind one study: rebuilt from rows, asked for configs, told results.

Optuna lives in memory. Each ask gets a sampler of its own, seeded by the number of the trial, so
that what a trial draws depends on the results before it and not on when the search was resumed.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, product
from math import prod

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from lmd_bench.core.schema import Scalar
from lmd_bench.core.seeding import derive_seed
from lmd_bench.methods.space import Space
from lmd_bench.search.proposing.samplers import LASTING, N_STARTUP, make_sampler

Params = dict[str, Scalar]
N_ASKS = 20  # before a sampler that repeats itself is replaced by a random draw
N_LISTED = 10_000  # configs; a random draw from a larger space soon hits a new one


@dataclass(frozen=True)
class Told:
    """How a trial ended, as a sampler is told."""

    values: tuple[float, ...] | None  # of the objectives; None of a failed or pruned trial
    pruned_curve: tuple[float, ...] = ()  # of a pruned one: its score after each epoch

    @property
    def state(self) -> TrialState:
        """Return Optuna's word for it."""
        if self.values is not None:
            return TrialState.COMPLETE
        return TrialState.PRUNED if self.pruned_curve else TrialState.FAIL


class Proposals:
    """The configs that a study tries, and what is known of them."""

    def __init__(
        self,
        space: Space,
        seed: int,
        sampler: str = "tpe",
        n_objectives: int = 1,
        n_startup: int = N_STARTUP,
    ) -> None:
        """Start without trials; `seed` is the base of every draw, and objectives are maximised."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each new study
        self.space = space
        self._seed = seed
        self._sampler = sampler
        self._n_startup = n_startup
        self._lasting = make_sampler(sampler, seed, n_startup)
        self._study = optuna.create_study(
            directions=[StudyDirection.MAXIMIZE] * n_objectives, sampler=self._lasting
        )
        self._open: dict[int, Trial] = {}  # by the number of the trial

    def add(self, params: Mapping[str, Scalar], outcome: Told) -> None:
        """Add a finished trial of an earlier run."""
        self._study.add_trial(
            create_trial(
                state=outcome.state,
                values=outcome.values,
                params=dict(params),
                distributions={key: self.space[key] for key in params},
                intermediate_values=dict(enumerate(outcome.pruned_curve, start=1)),
            )
        )

    def ask(self, number: int, is_new: Callable[[Params], bool]) -> Params:
        """Return params for trial `number` that `is_new` accepts; some must be left.

        A repeated proposal is closed as failed, which the sampler ignores: told a second time, its
        value would count twice, and a resumed search, which has one row for it, would draw others.
        """
        for attempt in range(self._n_asks(number)):
            trial = self._ask(self._sampler_of(number, attempt))
            if is_new(trial.params):
                return self._opened(number, trial)
            self._study.tell(trial, state=TrialState.FAIL)
        return self.use(number, self._draw(number, is_new))

    def use(self, number: int, params: Params) -> Params:
        """Make `params` trial `number`, as if they had been proposed."""
        self._study.enqueue_trial(params)
        return self._opened(number, self._ask(self._study.sampler))

    def tell(self, number: int, outcome: Told) -> None:
        """Tell the result of a trial that was asked."""
        trial = self._open.pop(number)
        for epoch, value in enumerate(outcome.pruned_curve, start=1):
            trial.report(value, epoch)
        self._study.tell(trial, outcome.values, state=outcome.state)

    def repeat(
        self,
        number: int,
        params: Params,
        outcome: Told,
        is_new: Callable[[Params], bool],
        *,
        drawn: bool,
    ) -> None:
        """Ask for a trial of an earlier run once more, and tell its result.

        Args:
            number: Of the trial.
            params: That it had.
            outcome: How it ended.
            is_new: What was accepted then.
            drawn: Whether the sampler proposed it, not a person.
        """
        if drawn and self.ask(number, is_new) != params:
            # It was asked when other trials had ended; what it gave then counts.
            self.tell(number, Told(None))
            drawn = False
        if not drawn:
            self.use(number, params)
        self.tell(number, outcome)

    def states(self) -> list[TrialState]:
        """Return the state of each of Optuna's trials, in its order."""
        return [trial.state for trial in self._study.get_trials(deepcopy=False)]

    def _n_asks(self, number: int) -> int:
        # A sequence starts anew when a search is resumed: it first repeats what is stored.
        return N_ASKS + (number if self._sampler in LASTING else 0)

    def _sampler_of(self, number: int, attempt: int) -> BaseSampler:
        if self._sampler in LASTING:
            return self._lasting
        return make_sampler(
            self._sampler, derive_seed(self._seed, number, attempt), self._n_startup
        )

    def _ask(self, sampler: BaseSampler) -> Trial:
        self._study.sampler = sampler
        return self._study.ask(self.space)

    def _opened(self, number: int, trial: Trial) -> Params:
        self._open[number] = trial
        return dict(trial.params)

    def _draw(self, number: int, is_new: Callable[[Params], bool]) -> Params:
        n_configs = size(self.space)
        if n_configs is not None and n_configs <= N_LISTED:
            left = [params for params in all_params(self.space) if is_new(params)]
            return random.Random(derive_seed(self._seed, number, "draw")).choice(left)
        for attempt in count():
            sampler = RandomSampler(seed=derive_seed(self._seed, number, "draw", attempt))
            trial = self._ask(sampler)
            self._study.tell(trial, state=TrialState.FAIL)
            if is_new(trial.params):
                return dict(trial.params)
        raise AssertionError("unreachable")


def size(space: Space) -> int | None:
    """Return how many configs a space holds; None where a float makes them uncountable."""
    sizes = [_n_values(distribution) for distribution in space.values()]
    finite = [n for n in sizes if n is not None]
    return prod(finite) if len(finite) == len(sizes) else None


def all_params(space: Space) -> list[Params]:
    """Return every config of a finite space."""
    values = [_values(distribution) for distribution in space.values()]
    return [dict(zip(space, chosen, strict=True)) for chosen in product(*values)]


def _n_values(distribution: BaseDistribution) -> int | None:
    if isinstance(distribution, FloatDistribution) and not distribution.single():
        return None
    if isinstance(distribution, IntDistribution):
        return len(range(distribution.low, distribution.high + 1, distribution.step))
    return len(_values(distribution))


def _values(distribution: BaseDistribution) -> list[Scalar]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return list(choices)  # pyright: ignore[reportReturnType]  # YAML gives no None
        case IntDistribution(low=low, high=high, step=step):
            return list(range(low, high + 1, step))
        case FloatDistribution(low=low):
            return [low]
        case _:
            raise AssertionError(f"unknown distribution {distribution}")
