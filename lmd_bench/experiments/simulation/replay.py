"""One replay: a search on a simulated clock, its trials answered by a table.

Workers take trials one after another; the sampler learns of a trial when it ends on that clock, and
a trial takes the pruner's thresholds with it when it starts, made of the curves there are by then,
as in a real search. The default config comes first and is never pruned, also as there.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from lmd_bench.experiments.simulation.proposing import RANDOM, Proposer, make_proposer
from lmd_bench.experiments.simulation.table import StoredTrial, StudyTable
from lmd_bench.methods.best_epoch import first_judged
from lmd_bench.search.proposing.proposals import Told
from lmd_bench.search.proposing.pruning import NONE, PRUNERS, Curve, Thresholds, judged
from lmd_bench.search.proposing.samplers import startup_of

OnStep = Callable[[str], None]  # is told, in words, of each step while it goes on


def no_step(step: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Setting:
    """How a search is replayed."""

    sampler: str = RANDOM
    pruner: str = NONE
    grace_period: int = 1  # epochs that a trial has before the pruner may end it
    n_trials: int | None = None  # None: all of the table, or as many as the hours allow
    hours: float | None = None  # of the simulated clock; the last trial starts before they are over
    n_workers: int = 1
    respects_deferral: bool = True  # False: every trial may be judged from its first epoch


@dataclass(frozen=True)
class Ran:
    """One trial of a replay."""

    trial: StoredTrial
    started: float  # seconds on the simulated clock
    ended: float
    outcome: Told
    curve: tuple[float, ...]  # of the epochs of stage 1 that it had
    pruned: bool  # by the pruner of this replay
    distance: float  # from what the sampler drew; NaN where nothing was drawn


@dataclass(frozen=True)
class Replay:
    """The trials of a replay in the order of their ends."""

    ran: tuple[Ran, ...]
    exhausted: bool  # the table had no trial left, while the budget was not used up

    @property
    def seconds(self) -> float:
        """Return when the last trial ended on the simulated clock."""
        return max((run.ended for run in self.ran), default=0.0)

    @cached_property
    def selected(self) -> StoredTrial | None:
        """Return the best trial on val, of equals the first to end; None if none ended well."""
        ended = [run for run in self.ran if run.outcome.values is not None]
        return max(ended, key=_value).trial if ended else None

    @property
    def best(self) -> float:
        """Return the best val score; NaN where no trial ended well."""
        if self.selected is None or self.selected.value is None:
            return float("nan")
        return self.selected.value

    @property
    def n_pruned(self) -> int:
        """Return how many trials the pruner ended."""
        return sum(run.pruned for run in self.ran)

    @property
    def distance(self) -> float:
        """Return the mean distance of the stored trials from what was drawn; NaN of no draw."""
        distances = [run.distance for run in self.ran if not np.isnan(run.distance)]
        return float(np.mean(distances)) if distances else float("nan")


def replay(table: StudyTable, setting: Setting, seed: int) -> Replay:
    """Replay a search on a table.

    Args:
        table: Of one study.
        setting: The search; its names of sampler and pruner are known.
        seed: Base of all draws; an equal seed gives an equal replay.
    """
    n_trials = setting.n_trials
    if n_trials is None and setting.hours is None:
        n_trials = len(table.trials)
    proposer = make_proposer(table, setting.sampler, seed, startup_of(n_trials))
    clock = _Clock(table, setting, proposer)
    while True:
        while clock.may_start:
            clock.start()
        if not clock.running:
            return Replay(tuple(clock.ran), clock.exhausted)
        clock.advance()


def ended_early(curve: Curve, thresholds: Thresholds, first: int = 1) -> int | None:
    """Return the epoch after which a trial is pruned; None where it goes on to its end.

    As `lmd_bench.training.limits.Watch` ends it: its best so far is below the threshold of that
    epoch. No epoch before `first` counts.
    """
    best = list(accumulate(judged(curve, first), max))
    behind = (e for e, least in sorted(thresholds) if e <= len(best) and best[e - 1] < least)
    return next(behind, None)


class _Clock:
    """The state of a replay."""

    def __init__(self, table: StudyTable, setting: Setting, proposer: Proposer) -> None:
        self.running: list[tuple[float, int, Ran]] = []  # a heap by end, then number
        self.ran: list[Ran] = []
        self._table, self._setting, self._proposer = table, setting, proposer
        self._left = np.arange(len(table.trials))
        self._curves: list[Curve] = []
        self._now = 0.0
        self._n_started = 0

    @property
    def exhausted(self) -> bool:
        """Say whether trials are missing that the budget would have paid for."""
        return not len(self._left) and self._affordable

    @property
    def may_start(self) -> bool:
        """Say whether a worker is free and there is a trial for it."""
        free = len(self.running) < self._setting.n_workers
        return free and len(self._left) > 0 and self._affordable

    @property
    def _affordable(self) -> bool:
        setting = self._setting
        if setting.n_trials is not None and self._n_started >= setting.n_trials:
            return False
        return setting.hours is None or self._now < setting.hours * 3600

    def start(self) -> None:
        """Start the next trial now."""
        number = self._n_started
        place, distance = self._next(number)
        ran = self._run(self._table.trials[place], number, distance)
        self._proposer.start(number, place, ran.outcome)
        heapq.heappush(self.running, (ran.ended, number, ran))
        self._left = self._left[self._left != place]
        self._n_started += 1

    def advance(self) -> None:
        """Go on to the next end of a trial, and let the study learn of it."""
        self._now, number, ran = heapq.heappop(self.running)
        self._proposer.finish(number, ran.outcome)
        if ran.outcome.values is not None or ran.outcome.pruned_curve:
            self._curves.append(judged(ran.curve, self._judged_from(ran.trial)))
        self.ran.append(ran)

    def _next(self, number: int) -> tuple[int, float]:
        if number == 0:
            for place, trial in enumerate(self._table.trials):
                if trial.is_default:
                    return place, float("nan")
        return self._proposer.propose(number, self._left)

    def _run(self, trial: StoredTrial, number: int, distance: float) -> Ran:
        seconds = self._table.cost(trial)
        thresholds = self._thresholds(trial, number)
        epoch = ended_early(trial.curve, thresholds, self._judged_from(trial))
        curve = trial.curve if epoch is None else trial.curve[:epoch]
        if epoch is not None:
            seconds *= epoch / len(trial.curve)
            outcome = Told(None, curve)
        elif trial.value is None:
            outcome = Told(None, curve if trial.status == "pruned" else ())
        else:
            outcome = Told((trial.value,))
        end = self._now + seconds
        return Ran(trial, self._now, end, outcome, curve, epoch is not None, distance)

    def _thresholds(self, trial: StoredTrial, number: int) -> Thresholds:
        setting, n_epochs = self._setting, self._table.n_epochs
        if trial.is_default or self._table.staged or setting.pruner == NONE:
            return ()
        first = max(self._judged_from(trial), setting.grace_period)
        return PRUNERS[setting.pruner](self._curves, n_epochs, first, number)

    def _judged_from(self, trial: StoredTrial) -> int:
        deferral = trial.deferral if self._setting.respects_deferral else 0.0
        return first_judged(deferral, self._table.n_epochs)


def _value(ran: Ran) -> float:
    assert ran.outcome.values is not None, "only trials that ended well are compared"
    return ran.outcome.values[0]
