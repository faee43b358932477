"""What a portfolio is worth on a data set that it was not learned on.

Each data set is left out in turn, and its studies are judged with what the others give. The
configurations were not run there, so the study's own surrogate says what they come to; what all
trials of the study came to, and what as many of them drawn at random would, is taken from the same
surrogate, whose mean has less luck in it than the best of many scores.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from lmd_bench.core.errors import UserError
from lmd_bench.core.seeding import derive_seed
from lmd_bench.experiments.portfolio.evidence import Evidence
from lmd_bench.experiments.portfolio.learning import SIZE, learn
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.tables.text import Part, Table
from lmd_bench.search.proposing.portfolio import Entry
from lmd_bench.stats.bootstrap import N_RESAMPLES
from lmd_bench.stats.proportions import LEVEL

ALL = "all"


@dataclass(frozen=True)
class Judged:
    """What is gained on the default in one study, in val score."""

    study: Evidence
    n_trials: int
    by_all: float  # by the best of its trials
    by_portfolio: float  # by the best of those that others give
    by_drawn: float  # by the best of as many of its trials as a portfolio has, in the mean


def judge(folders: Iterable[Path], size: int = SIZE) -> Answer:
    """Return what portfolios learned without a data set are worth on it.

    Raises:
        UserError: nothing to learn from, or all of it on one data set.
    """
    learned = learn(folders, size)
    entries = {entry.unit: entry for entry in learned.entries}
    judged = [_judged(study, entries[study.unit], size) for study in learned.evidence]
    known = [one for one in judged if one is not None]
    if not known:
        raise UserError(
            "All data sets there hold the same images, so none can be left out; name results of "
            "two data sets or more."
        )
    frame = _frame(known)
    notes = (
        "gains are on the default, in points of val balanced accuracy by a surrogate of each study",
        f"the share is the mean gain of up to {size} configurations, over studies, by that of all "
        "trials of a study; beside it that of as many of its own trials drawn at random, which are "
        "better than random ones where its sampler had learned",
        f"intervals: {LEVEL:.0%}, over studies, drawn again",
        *(f"not learned from, {reason}" for reason in learned.left_out),
    )
    return Answer({"portfolio": frame}, lambda: _text(frame, notes), notes=notes)


def _judged(study: Evidence, entry: Entry, size: int) -> Judged | None:
    same = [name for name in entry.without if name in study.images]
    configs = entry.without[same[0]] if len(same) == 1 else ()
    if not configs:
        return None
    surrogate = study.surrogate
    default = float(surrogate.predict([study.default.config], [study.default.rank])[0])
    own = [trial.config for trial in study.tried]
    tried = surrogate.predict(own, [trial.rank for trial in study.tried])
    others = np.array(
        [value for value, trial in zip(tried, study.tried, strict=True) if trial != study.default]
    )
    given = surrogate.predict(configs)
    return Judged(
        study,
        len(study.tried),
        max(0.0, float(tried.max()) - default),
        max(0.0, float(given.max()) - default),
        expected_best(np.maximum(others - default, 0.0), size),
    )


def expected_best(values: Float[np.ndarray, " trials"], n: int) -> float:
    """Return the mean of the best of `n` values drawn without replacement."""
    total, n = len(values), min(n, len(values))
    chances = np.array([comb(place, n - 1) for place in range(total)], dtype=float)
    return float(np.sort(values) @ chances / comb(total, n))


def _frame(judged: Sequence[Judged]) -> pd.DataFrame:
    by_name: dict[str, list[Judged]] = {}
    for one in judged:
        for name in sorted(one.study.images)[:1]:
            by_name.setdefault(name, []).append(one)
    lines = [_line(name, of) for name, of in sorted(by_name.items())]
    return pd.DataFrame([*lines, _line(ALL, judged)])


def _line(name: str, judged: Sequence[Judged]) -> dict[str, object]:
    gains = np.array([[one.by_all, one.by_portfolio, one.by_drawn] for one in judged])
    shares = _shares(gains)
    generator = np.random.default_rng(derive_seed(0, "portfolio", name))
    places = generator.integers(len(gains), size=(N_RESAMPLES, len(gains)))
    drawn = np.array([_shares(gains[of]) for of in places])
    ends = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {
        "left_out": name,
        "studies": len(judged),
        "trials": float(np.mean([one.n_trials for one in judged])),
        "gain_all": gains[:, 0].mean(),
        "gain_portfolio": gains[:, 1].mean(),
        "share": shares[0],
        "share_low": ends[0, 0],
        "share_high": ends[1, 0],
        "share_drawn": shares[1],
        "share_drawn_low": ends[0, 1],
        "share_drawn_high": ends[1, 1],
    }


def _shares(gains: Float[np.ndarray, "studies 3"]) -> Float[np.ndarray, " 2"]:
    means = gains.mean(axis=0)
    return means[1:] / means[0] if means[0] > 0 else np.full(2, np.nan)


def _text(frame: pd.DataFrame, notes: Sequence[str]) -> list[Part]:
    header = ("left out", "studies", "trials", "gain of all", "of portfolio")
    header = (*header, "share", "95 %", "of own trials", "95 %")
    rows = [
        (
            str(line["left_out"]),
            str(line["studies"]),
            f"{line['trials']:.0f}",
            *(f"{100 * line[name]:.2f}" for name in ("gain_all", "gain_portfolio")),
            *_share(line, "share"),
            *_share(line, "share_drawn"),
        )
        for line in frame.to_dict("records")
    ]
    return [Table(header, rows), "", *(f"Note: {note}." for note in notes)]


def _share(line: Mapping[Any, Any], name: str) -> tuple[str, str]:
    low, high = line[f"{name}_low"], line[f"{name}_high"]
    return f"{line[name]:.0%}", f"[{100 * low:.0f}, {100 * high:.0f}]"
