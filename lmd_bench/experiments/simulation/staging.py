"""Staged against joint search at equal hours, from stored trials.

Staged: a replay of the representation study, whose best encoders (and the default config's) are
then offered to a replay of the calibration study; a calibration costs its own time alone. Joint:
both stages drawn together in each trial, at the price of its own stage 1, for as many hours as the
staged search took. Only pairs of encoder and calibration that were run can be replayed; how many
are missing is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from lmd_bench.core.schema import NO_CALIBRATION
from lmd_bench.core.seeding import derive_seed
from lmd_bench.experiments.simulation.replay import OnStep, Replay, Setting, no_step, replay
from lmd_bench.experiments.simulation.table import StoredTrial, StudyTable, searched
from lmd_bench.experiments.simulation.tuners import mean_interval, mean_of
from lmd_bench.search.proposing.study import ENCODER_RANK

SAME_PAIRS = "pairs of the staged study"
COLUMNS = (
    *("task", "method", "study", "base", "joint_from", "sampler", "workers", "repeats", "replayed"),
    *("staged_best", "staged_low", "staged_high", "staged_hours", "staged_exhausted"),
    *("joint_best", "joint_low", "joint_high", "joint_hours", "joint_exhausted"),
    *("encoders", "encoders_with_pairs", "repeats_lacking_pairs", "missing"),
)


@dataclass(frozen=True)
class Pair:
    """The tables that staged and joint search of one method are replayed on."""

    base: StudyTable  # the representation study
    staged: StudyTable  # the calibration study on it
    joint: StudyTable  # full pairs
    own_joint: bool  # of a joint study; else the pairs of the calibration study, seen as one

    @property
    def missing(self) -> list[int]:
        """Return the trials of the base whose encoder no stored calibration stands on."""
        stood_on = {trial.encoder for trial in self.staged.trials}
        return [
            trial.number
            for trial in self.base.trials
            if trial.value is not None and trial.encoder not in stood_on
        ]


def find_pairs(tables: Sequence[StudyTable]) -> tuple[list[Pair], list[tuple[str, str]]]:
    """Return what staged and joint search can be replayed on.

    Returns:
        the pairs; and for each calibration study that has none, why not, and its id.
    """
    pairs: list[Pair] = []
    lacking: list[tuple[str, str]] = []
    for staged in tables:
        if not staged.staged or staged.problem:
            continue
        base = _base_of(staged, tables)
        if base is None:
            sentence = (
                f"{staged.method} on {staged.task}: the rows of the {staged.representation} study "
                "that trained its encoders are not here, so staged search cannot be replayed"
            )
            lacking.append((sentence, staged.study))
            continue
        own = [t for t in tables if _is_joint_of(t, staged) and not t.problem]
        joint = own[0] if own else _as_joint(staged)
        pairs.append(Pair(base, staged, joint, bool(own)))
    return pairs, lacking


def stage_frame(
    pairs: Sequence[Pair],
    samplers: Sequence[str],
    budget: Setting,
    repeats: int,
    seed: int,
    top_k: int,
    on_step: OnStep = no_step,
) -> pd.DataFrame:
    """Return a line for each method and sampler.

    A repeat in which none of the offered encoders has a stored calibration is not replayed;
    `replayed` counts the others, and `repeats_lacking_pairs` those in which one or more of the
    offered encoders had none. Under a budget of trials each of the two studies has as many, by
    default half of its table; hours are split in halves.

    Args:
        pairs: As `find_pairs` gives them.
        samplers: Their names.
        budget: Trials or hours, and workers.
        repeats: Replays of each.
        seed: Of all draws.
        top_k: Encoders, best on val, that a calibration may stand on.
        on_step: Is told of each line that is begun.
    """
    lines: list[dict[str, object]] = []
    for pair in pairs:
        for sampler in samplers:
            on_step(f"{pair.staged.method}: {sampler}, staged and joint")
            setting = replace(budget, sampler=sampler)
            seeds = [derive_seed(seed, "stages", pair.staged.study, r) for r in range(repeats)]
            lines.append(_line(pair, setting, [_compare(pair, setting, s, top_k) for s in seeds]))
    return pd.DataFrame(lines, columns=pd.Index(COLUMNS))


@dataclass(frozen=True)
class _Compared:
    """One repeat."""

    staged: Replay | None  # of the calibration study; None where no pair is stored
    joint: Replay | None
    seconds: float  # of both studies of the staged search
    n_lacking: int  # offered encoders without a stored calibration


def _compare(pair: Pair, setting: Setting, seed: int, top_k: int) -> _Compared:
    first = replay(pair.base, _half(setting, pair.base), derive_seed(seed, "base"))
    offered = _offered(first, top_k)
    stood_on = {trial.encoder for trial in pair.staged.trials}
    n_lacking = len(offered.keys() - stood_on)
    table = _on(pair.staged, offered)
    if not table.trials:
        return _Compared(None, None, first.seconds, n_lacking)
    half = _half(setting, pair.staged)
    second = replay(table, half, derive_seed(seed, "calibration"))
    seconds = first.seconds + second.seconds
    equal = replace(setting, n_trials=None, hours=seconds / 3600)
    return _Compared(second, replay(pair.joint, equal, seed), seconds, n_lacking)


def _half(setting: Setting, table: StudyTable) -> Setting:
    if setting.hours is not None:
        return replace(setting, hours=setting.hours / 2)
    return setting if setting.n_trials else replace(setting, n_trials=-(-len(table.trials) // 2))


def _offered(base: Replay, top_k: int) -> dict[str, int]:
    """Return encoder -> rank of the best on val, and of the default config's."""
    ended = [run.trial for run in base.ran if run.outcome.values is not None]
    ranked = sorted(ended, key=lambda trial: (-(trial.encoder_score or 0.0), trial.number))
    return {
        trial.encoder: rank
        for rank, trial in enumerate(ranked, start=1)
        if rank <= top_k or trial.is_default
    }


def _on(staged: StudyTable, offered: dict[str, int]) -> StudyTable:
    """Return the calibrations on some encoders, ranked as those are."""
    trials = tuple(
        replace(trial, encoder_rank=offered[trial.encoder])
        for trial in staged.trials
        if trial.encoder in offered
    )
    own = {key: within for key, within in staged.space.items() if key != ENCODER_RANK}
    ranks = [{**trial.config, ENCODER_RANK: trial.encoder_rank} for trial in trials]
    ranked = {k: w for k, w in searched((), ranks, ranked=True).items() if k == ENCODER_RANK}
    return replace(staged, trials=trials, space={**own, **ranked})


def _base_of(staged: StudyTable, tables: Sequence[StudyTable]) -> StudyTable | None:
    """Return the representation study that trained most of the encoders; None where none did."""
    wanted = {trial.encoder for trial in staged.trials if trial.encoder}

    def shared(table: StudyTable) -> int:
        return len(wanted & {trial.encoder for trial in table.trials if trial.value is not None})

    candidates = [t for t in tables if t.calibration == NO_CALIBRATION and t.task == staged.task]
    best = max(candidates, key=shared, default=None)
    return best if best is not None and shared(best) and not best.problem else None


def _is_joint_of(table: StudyTable, staged: StudyTable) -> bool:
    names = ("task", "representation", "calibration", "n_epochs")
    return not table.staged and all(getattr(table, n) == getattr(staged, n) for n in names)


def _as_joint(staged: StudyTable) -> StudyTable:
    """Return a calibration study as if each of its trials had drawn both stages."""
    trials: tuple[StoredTrial, ...] = tuple(replace(t, encoder_rank=None) for t in staged.trials)
    sections = ("training", staged.representation, staged.calibration)
    space = searched(sections, [trial.config for trial in trials])
    return replace(staged, staged=False, trials=trials, space=space)


def _line(pair: Pair, setting: Setting, compared: Sequence[_Compared]) -> dict[str, object]:
    staged = [repeat.staged for repeat in compared if repeat.staged is not None]
    joint = [repeat.joint for repeat in compared if repeat.joint is not None]
    staged_best, staged_low, staged_high = mean_interval([run.best for run in staged])
    joint_best, joint_low, joint_high = mean_interval([run.best for run in joint])
    done = [repeat for repeat in compared if repeat.staged is not None]
    ended = [trial for trial in pair.base.trials if trial.value is not None]
    missing = pair.missing
    return {
        "task": pair.staged.task,
        "method": pair.staged.method,
        "study": pair.staged.study,
        "base": pair.base.method,
        "joint_from": pair.joint.study if pair.own_joint else SAME_PAIRS,
        "sampler": setting.sampler,
        "workers": setting.n_workers,
        "repeats": len(compared),
        "replayed": len(done),
        "staged_best": staged_best,
        "staged_low": staged_low,
        "staged_high": staged_high,
        "staged_hours": mean_of(repeat.seconds / 3600 for repeat in done),
        "staged_exhausted": sum(run.exhausted for run in staged),
        "joint_best": joint_best,
        "joint_low": joint_low,
        "joint_high": joint_high,
        "joint_hours": mean_of(run.seconds / 3600 for run in joint),
        "joint_exhausted": sum(run.exhausted for run in joint),
        "encoders": len(ended),
        "encoders_with_pairs": len(ended) - len(missing),
        "repeats_lacking_pairs": sum(repeat.n_lacking > 0 for repeat in compared),
        "missing": ", ".join(f"#{number}" for number in missing),
    }
