"""Learning a portfolio: few configurations such that on each task one of them does well.

Each task's surrogate says what every configuration that any task has tried may come to. A regret is
the distance to the best of them, in units of the distance from the best to the median of the task's
own trials. Starting from the default, which a search runs in any case, the configuration is taken
that lowers the mean, over the tasks of a data set and then over data sets, of the least regret so
far the most, then the next. What is known of few noisy trials is little, so the mean is over draws
of each task's surrogate too: what may be good counts, not what is predicted alone.

Papers: Wistuba, Schilling, Schmidt-Thieme, Sequential Model-free Hyperparameter Tuning, 2015; Xu,
Hoos, Leyton-Brown, Hydra, 2010.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from optuna.distributions import FloatDistribution

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import asked_file
from lmd_bench.core.schema import Config, canonical_json
from lmd_bench.core.yaml_text import yaml_text
from lmd_bench.experiments.portfolio.evidence import Evidence, read_evidence
from lmd_bench.methods.space import Space
from lmd_bench.search.proposing.portfolio import Configs, Entry, read_portfolio

SIZE = 4  # configurations of a unit
LEAST_DATASETS = 2  # what is good on one alone was no better on others than a random draw
DIGITS = 3  # significant ones of a value, which is no loss and can be read
N_DRAWS = 64  # of the surrogate of a task
_LEAST_GAIN = 1e-6  # of the mean regret, for which a configuration is worth a trial
_HEADER = """\
# Configurations that a search tries right after the default (docs/search.md, "A portfolio"): for
# each pair of stages, under what decides its ranges, those that complement the default most, best
# first. Data sets under `without` are searched with what all others give.
# Written by `lmd-bench portfolio learn`.
"""


@dataclass(frozen=True)
class Learned:
    """A portfolio, and what it was learned from."""

    entries: tuple[Entry, ...]
    evidence: tuple[Evidence, ...]
    left_out: tuple[str, ...]  # reasons, each with the studies


def learn(folders: Iterable[Path], size: int = SIZE) -> Learned:
    """Return the portfolio of the searches in some results folders.

    Raises:
        UserError: no results there, or nothing that can be learned from.
    """
    evidence, left_out = read_evidence(folders)
    evidence.sort(key=lambda study: (study.unit, study.task))
    entries: list[Entry] = []
    used: list[Evidence] = []
    alone: list[str] = []
    for unit, group in groupby(evidence, key=lambda study: study.unit):
        studies = list(group)
        if len({study.images for study in studies}) < LEAST_DATASETS:
            alone.append(f"{unit.representation}+{unit.calibration}")
            continue
        used += studies
        names = sorted(set().union(*(study.images for study in studies)))
        without = {name: portfolio_of(_without(studies, name), size) for name in names}
        entries.append(Entry(unit, portfolio_of(studies, size), without))
    if alone:
        left_out.append(f"searched on one data set alone: {', '.join(dict.fromkeys(alone))}")
    if not entries:
        raise UserError(
            "Every method there was searched on one data set alone, which says nothing of others; "
            "name results of two data sets or more."
        )
    return Learned(tuple(entries), tuple(used), tuple(left_out))


def write(learned: Learned, path: Path) -> None:
    """Write a portfolio as the file that a search reads.

    Raises:
        UserError: the file cannot be written.
    """
    text = _HEADER + yaml_text({"learned_from": _source(learned), "portfolio": _plain(learned)})
    with asked_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        # What is written can be searched with.
        read_portfolio(temporary)


def portfolio_of(studies: Sequence[Evidence], size: int) -> Configs:
    """Return up to `size` configurations of studies of one unit; none of no studies."""
    candidates = _candidates(studies)
    if not candidates:
        return ()
    regrets = np.concatenate([_regrets(study, candidates) for study in studies])
    # Each data set counts alike, however many of its tasks there are.
    n_tasks = Counter(study.images for study in studies)
    weights = np.repeat([1 / n_tasks[study.images] for study in studies], N_DRAWS)
    # The first column is the default, on the encoder that it stood on.
    best, chosen = regrets[:, 0], list[int]()
    while len(chosen) < size:
        means = np.average(np.minimum(best[:, None], regrets), axis=0, weights=weights)
        place = int(means.argmin())
        if means[place] > np.average(best, weights=weights) - _LEAST_GAIN:
            break
        chosen.append(place)
        best = np.minimum(best, regrets[:, place])
    return tuple(candidates[place - 1] for place in chosen)


def _without(studies: Iterable[Evidence], name: str) -> list[Evidence]:
    return [study for study in studies if name not in study.images]


def _candidates(studies: Sequence[Evidence]) -> list[Config]:
    """Return every configuration that was tried, once, in an order of its own."""
    rounded = [
        _rounded(trial.config, study.unit.space) for study in studies for trial in study.tried
    ]
    distinct = {canonical_json(config): config for config in rounded}
    return [distinct[text] for text in sorted(distinct)]


def _rounded(config: Config, space: Space) -> dict[str, Any]:
    return {
        key: float(f"{value:.{DIGITS}g}") if isinstance(space[key], FloatDistribution) else value
        for key, value in sorted(config.items())
    }


def _regrets(study: Evidence, candidates: Sequence[Config]) -> Float[np.ndarray, "draws configs"]:
    """Return the regret of the default, then of each candidate, on the task of a study."""
    configs, ranks = [study.default.config, *candidates], [study.default.rank]
    ranks += [1] * len(candidates)
    scores = study.surrogate.sample(configs, ranks, N_DRAWS)
    own = study.surrogate.predict([trial.config for trial in study.tried])
    scale = own.max() - np.median(own)
    regrets = scores.max(axis=1, keepdims=True) - scores
    # Where all configurations are alike none is to be regretted.
    return regrets / scale if scale > 0 else np.zeros_like(regrets)


def _source(learned: Learned) -> dict[str, Any]:
    return {
        "trials": sum(len(study.tried) for study in learned.evidence),
        "tasks": sorted({study.task for study in learned.evidence}),
        "commits": sorted(set().union(*(study.commits for study in learned.evidence))),
    }


def _plain(learned: Learned) -> list[dict[str, Any]]:
    return [
        {
            "representation": entry.unit.representation,
            "calibration": entry.unit.calibration,
            **vars(entry.unit.regime),
            "configs": [dict(config) for config in entry.configs],
            "without": {
                name: [dict(config) for config in configs]
                for name, configs in entry.without.items()
            },
        }
        for entry in learned.entries
    ]
