"""The project's own samplers, made to propose among the stored trials of a table.

What a sampler draws in the space of the study is answered by the nearest stored trial that was not
used yet, and the sampler learns of that trial's config, not of the one it drew. Random search needs
no neighbour: it takes the stored trials in a random order.
"""

import random
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import optuna
from jaxtyping import Int64
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from lmd_bench.core.seeding import derive_seed
from lmd_bench.experiments.simulation.neighbours import Neighbours
from lmd_bench.experiments.simulation.table import StudyTable
from lmd_bench.search.proposing.proposals import N_ASKS, Params, Proposals, Told
from lmd_bench.search.proposing.samplers import LASTING, N_STARTUP, make_sampler

RANDOM = "random"
_BY_TRIAL = frozenset({"cmaes", "nsga2"})  # these mark Optuna's own trials while they draw
Left = Int64[np.ndarray, " left"]  # places in the table of the trials that were not used yet


@runtime_checkable
class Proposer(Protocol):
    """What proposes the next stored trial of one replay."""

    def propose(self, number: int, left: Left) -> tuple[int, float]:
        """Return the place in the table of trial `number`, and its distance to what was drawn."""
        ...

    def start(self, number: int, place: int, outcome: Told) -> None:
        """Take that a trial runs; `outcome` is what it will come to."""
        ...

    def finish(self, number: int, outcome: Told) -> None:
        """Learn what a trial came to."""
        ...


def make_proposer(
    table: StudyTable, sampler: str, seed: int, n_startup: int = N_STARTUP
) -> Proposer:
    """Return the proposer of a sampler.

    Args:
        table: Of the study.
        sampler: A known one.
        seed: Base of its draws.
        n_startup: Random trials before it fits a model, if it fits one.
    """
    if sampler == RANDOM:
        return RandomOrder(len(table.trials), seed)
    if sampler in _BY_TRIAL:
        return AskedTwice(table, sampler, seed, n_startup)
    return Drawn(table, sampler, seed, n_startup)


class RandomOrder:
    """All stored trials in a random order."""

    def __init__(self, n_trials: int, seed: int) -> None:
        """Draw the order."""
        self._order = np.random.default_rng(derive_seed(seed, "order")).permutation(n_trials)

    def propose(self, number: int, left: Left) -> tuple[int, float]:
        """Return the first in the order that is left."""
        return int(self._order[np.isin(self._order, left)][0]), float("nan")

    def start(self, number: int, place: int, outcome: Told) -> None:
        """Do nothing: it does not learn."""

    def finish(self, number: int, outcome: Told) -> None:
        """Do nothing: it does not learn."""


class AskedTwice:
    """A study of the search itself: what was drawn is closed, and the stored trial put in place."""

    def __init__(
        self, table: StudyTable, sampler: str, seed: int, n_startup: int = N_STARTUP
    ) -> None:
        """Start without trials."""
        self._params = [table.params(trial) for trial in table.trials]
        self._near = Neighbours(table.space, self._params)
        self._proposals = Proposals(table.space, seed, sampler, n_startup=n_startup)

    def propose(self, number: int, left: Left) -> tuple[int, float]:
        """Ask the study, and close what it opened as failed, which samplers ignore."""
        used = _used(self._params, left)
        drawn = self._proposals.ask(number, lambda params: params not in used)
        self._proposals.tell(number, Told(None))
        return self._near.nearest(drawn, left)

    def start(self, number: int, place: int, outcome: Told) -> None:
        """Open the stored trial as if it had been drawn."""
        self._proposals.use(number, self._params[place])

    def finish(self, number: int, outcome: Told) -> None:
        """Tell the study."""
        self._proposals.tell(number, outcome)


class Drawn:
    """A sampler asked for its draws alone, without opening a trial for each.

    It draws what `Proposals` would draw after the same trials, in half the time; a test compares
    the two.
    """

    def __init__(
        self, table: StudyTable, sampler: str, seed: int, n_startup: int = N_STARTUP
    ) -> None:
        """Start without trials."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each new study
        self._space = table.space
        self._params = [table.params(trial) for trial in table.trials]
        self._near = Neighbours(table.space, self._params)
        self._name, self._seed = sampler, seed
        self._n_startup = n_startup
        self._lasting = make_sampler(sampler, seed, n_startup)
        self._study = optuna.create_study(
            directions=[StudyDirection.MAXIMIZE], sampler=self._lasting
        )
        self._place: dict[int, int] = {}  # by the number of the trial: its number in Optuna
        self._n_learned = 0

    def propose(self, number: int, left: Left) -> tuple[int, float]:
        """Draw until it is new, as the search does, then take the nearest stored trial."""
        used = _used(self._params, left)
        for attempt in range(N_ASKS):
            drawn = self._draw(self._sampler_of(number, attempt))
            if drawn not in used:
                return self._near.nearest(drawn, left)
        chosen = random.Random(derive_seed(self._seed, number, "draw")).choice(left.tolist())
        return chosen, 0.0

    def start(self, number: int, place: int, outcome: Told) -> None:
        """Add the stored trial as one that runs: samplers keep away from those."""
        params = self._params[place]
        self._place[number] = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=dict(params),
                distributions={key: self._space[key] for key in params},
                intermediate_values=dict(enumerate(outcome.pruned_curve, start=1)),
            )
        )

    def finish(self, number: int, outcome: Told) -> None:
        """Tell what it came to."""
        self._study.tell(self._place.pop(number), outcome.values, state=outcome.state)
        self._n_learned += outcome.state != TrialState.FAIL

    def _sampler_of(self, number: int, attempt: int) -> BaseSampler:
        if self._name in LASTING:
            return self._lasting
        seed = derive_seed(self._seed, number, attempt)
        return make_sampler(self._name, seed, self._n_startup)

    def _draw(self, sampler: BaseSampler) -> Params:
        study = self._study
        study.add_trial(create_trial(state=TrialState.RUNNING))  # what is drawn for; then closed
        draft = study.get_trials(deepcopy=False)[-1]
        # Optuna knows the space from the first trial that ended; before, each value stands alone.
        together = (
            sampler.sample_relative(study, draft, dict(self._space)) if self._n_learned else {}
        )
        drawn: Params = {
            key: together[key]
            if key in together
            else sampler.sample_independent(study, draft, key, within)
            for key, within in self._space.items()
        }
        study.tell(draft.number, state=TrialState.FAIL)
        return drawn


def _used(params: list[Params], left: Left) -> list[Mapping[str, object]]:
    remaining = set(left.tolist())
    return [config for place, config in enumerate(params) if place not in remaining]
