"""Pruners: below which score a trial of a study ends, epoch by epoch of stage 1.

A trial takes the thresholds with it when it starts, made of the curves that its study has by then.
So pruning needs no word with the driver, follows from the store, and is the same after a resume.
Only trials of one study are compared, and never before the method's own deferral point, nor before
the grace period is over that a person gives all trials. What a trial had before its deferral point
does not count: no such epoch is ever kept. What it had in the grace period does.
"""

from collections.abc import Callable, Sequence
from statistics import median

from lmd_bench.core.errors import UserError, unknown

Curve = Sequence[float]  # val balanced accuracy after each epoch of stage 1; shorter if pruned
UNJUDGED = float("-inf")  # in a curve: an epoch from before the trial's deferral point
Thresholds = tuple[tuple[int, float], ...]  # (epoch from 1, least best-so-far score) to go on

NONE = "none"
N_STARTUP = 4  # curves before the median prunes
ETA = 3  # of the trials at a rung, one in ETA goes on


def judged(curve: Curve, first: int) -> Curve:
    """Return a curve in which no epoch before `first`, from 1, counts."""
    return [score if n >= first else UNJUDGED for n, score in enumerate(curve, start=1)]


def median_rule(curves: Sequence[Curve], n_epochs: int, first: int, number: int) -> Thresholds:
    """Return the median of the best so far, epoch by epoch.

    Source: the median stopping rule of Golovin et al., Google Vizier, KDD 2017, section 3.2.1, with
    the best so far of the others in place of their running mean.
    """
    thresholds: list[tuple[int, float]] = []
    for epoch in range(first, n_epochs):
        scores = _best_by(curves, epoch)
        if len(scores) >= N_STARTUP:
            thresholds.append((epoch, median(scores)))
    return tuple(thresholds)


def halving(curves: Sequence[Curve], n_epochs: int, first: int, number: int) -> Thresholds:
    """Return what the best third had at the rungs first, 3 first, 9 first, ...

    Source: asynchronous successive halving, Li et al., MLSys 2020, algorithm 2, with eta = 3.
    """
    thresholds: list[tuple[int, float]] = []
    for epoch in rungs(first, n_epochs):
        scores = sorted(_best_by(curves, epoch), reverse=True)
        n_kept = max(1, (len(scores) + 1) // ETA)  # of these and the trial itself
        if len(scores) >= n_kept:
            thresholds.append((epoch, scores[n_kept - 1]))
    return tuple(thresholds)


def hyperband(curves: Sequence[Curve], n_epochs: int, first: int, number: int) -> Thresholds:
    """Return the thresholds of halving from a later first rung, or none: brackets take turns.

    A bracket that starts s rungs later is laxer; the last one prunes nothing.

    Source: Hyperband, Li et al., JMLR 18(185), 2018, algorithm 1.
    """
    starts = [*rungs(first, n_epochs), n_epochs]
    return halving(curves, n_epochs, starts[number % len(starts)], number)


PRUNERS: dict[str, Callable[[Sequence[Curve], int, int, int], Thresholds]] = {
    NONE: lambda curves, n_epochs, first, number: (),
    "median": median_rule,
    "halving": halving,
    "hyperband": hyperband,
}


def check_pruner(name: str, grace_period: int = 1, n_epochs: int | None = None) -> None:
    """Check that a pruner exists, and that its grace period leaves it epochs to judge.

    Args:
        name: Of the pruner.
        grace_period: Epochs that a trial has before it may be ended.
        n_epochs: Of a whole trial; None: they are not known.

    Raises:
        UserError: none of that name, or a grace period that no pruner or no epoch is there for.
    """
    if name not in PRUNERS:
        raise unknown("pruner", name, PRUNERS)
    if grace_period > 1 and name == NONE:
        raise UserError(
            f"A grace period of {grace_period} epochs is for a pruner, and none is chosen; name "
            "one or leave out grace_period."
        )
    if n_epochs is not None and grace_period >= n_epochs > 1:
        raise UserError(
            f"Option grace_period {grace_period} leaves the pruner nothing to end in {n_epochs} "
            f"epochs; give {n_epochs - 1} or less."
        )


def rungs(first: int, n_epochs: int) -> list[int]:
    """Return the epochs first, 3 first, 9 first, ... before the last one."""
    rung_epochs = [first]
    while rung_epochs[-1] < n_epochs:
        rung_epochs.append(rung_epochs[-1] * ETA)
    return rung_epochs[:-1]


def _best_by(curves: Sequence[Curve], epoch: int) -> list[float]:
    # A curve that ended before, or whose deferral point is yet to come, has nothing to compare.
    there = (curve[:epoch] for curve in curves if len(curve) >= epoch)
    return [max(so_far) for so_far in there if so_far[-1] != UNJUDGED]
