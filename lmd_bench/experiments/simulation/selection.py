"""`lmd-bench simulate --selection`: a race against the best val score, replayed on stored rows.

A replay needs configurations of one study that were retrained on several seeds and judged on val
and test, as a confirmation does. Some of these seeds, drawn at random, are the rounds of the race;
what was chosen is judged on test by the other ones. The old rule takes the best val score of the
search. A race spends more, so `runs` says how many retrainings it took. Where many configurations
of a study were retrained, a search of fewer trials is replayed: the others, in an order of chance,
are what as many more search trials as the race took runs would have found. That order is right for
trials that were drawn at random.
"""

from collections.abc import Sequence
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.experiments.simulation.replay import OnStep, no_step
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.group import StudyRows, by_factor, group_studies
from lmd_bench.leaderboard.tables.text import Part, Table, percent
from lmd_bench.search.racing import IsBehind, behind_on_val, leader_of, left_of
from lmd_bench.store.store import open_store

LEAST = 2  # configurations, and retrainings of each
COLUMNS = ("task", "method", "study", "configs", "seeds", "rounds", "runs", "replays")
CHOICES = ("default", "best_val", "race", "more_trials")
SCORES = (*CHOICES, "best_val_worse", "race_worse", "more_trials_worse")


def selection(
    results: Path,
    *,
    top: int = 3,
    rounds: int = 3,
    trials: int | None = None,
    repeats: int = 30,
    seed: int = 0,
    methods: Sequence[str] = (),
    on_step: OnStep = no_step,
) -> Answer:
    """Return what races would have chosen among retrained configurations, and the old rule.

    Args:
        results: Folder of the results.
        top: Configurations that race, best on val first; the default besides.
        rounds: At most; one seed at least is left to judge by.
        trials: Retrained configurations that a search had tried, the default first and others at
            random; None: all of them, so that nothing is left for more trials.
        repeats: Replays of each study, with other seeds as the rounds.
        seed: Of the draws.
        methods: None: all.
        on_step: Is told of each step.

    Raises:
        UserError: no results there, or no study with two retrained configurations.
    """
    store = open_store(results)
    is_behind = behind_on_val(store)
    lines = []
    for study in by_factor(group_studies(store.rows())):
        if methods and study.method not in methods:
            continue
        on_step(f"races of {study.method} on {study.task}")
        line = _line(study, is_behind, top, rounds, trials, repeats, seed)
        lines += [] if line is None else [line]
    if not lines:
        raise UserError(
            f"No study in {results} has {LEAST} configurations with {LEAST} retrainings each; "
            "lmd-bench confirm KEY retrains that of a search row."
        )
    frame = pd.DataFrame(lines, columns=pd.Index([*COLUMNS, *SCORES]))
    return Answer({"selection": frame}, lambda: _text(frame))


def _line(
    study: StudyRows,
    is_behind: IsBehind,
    top: int,
    rounds: int,
    trials: int | None,
    repeats: int,
    seed: int,
) -> dict[str, object] | None:
    runs = {row["key"]: study.ok_runs(row) for row in study.trials if row["status"] == "ok"}
    known = _best_first([row for row in study.trials if len(runs.get(row["key"], {})) >= LEAST])
    default = next((row for row in known if row["is_default"]), None)
    if len(known) < LEAST or default is None:
        return None
    racing = _racing(known, top) if trials is None else known
    seeds = sorted(set.intersection(*(set(runs[row["key"]]) for row in racing)))
    n_rounds = min(rounds, len(seeds) - 1)
    if n_rounds < 1 or (trials is not None and trials >= len(known)):
        return None
    test: dict[str, list[float]] = {name: [] for name in CHOICES}
    counts: list[int] = []
    for repeat in range(repeats):
        generator = np.random.default_rng(derive_seed(seed, study.study, repeat))
        order = generator.permutation(seeds)
        others = [row for row in known if row is not default]
        drawn = [default, *(others[place] for place in generator.permutation(len(others)))]
        first = known if trials is None else _best_first(drawn[:trials])
        winner, n_runs = _raced(_racing(first, top), runs, order[:n_rounds].tolist(), is_behind)
        counts.append(n_runs)
        n_more = len(first) + n_runs
        chosen = {"default": default, "best_val": first[0], "race": winner or first[0]}
        if trials is not None and n_more <= len(drawn):
            chosen["more_trials"] = _best_first(drawn[:n_more])[0]
        for name in CHOICES:
            judged = [
                runs[chosen[name]["key"]][other]["test_balanced_accuracy"]
                if name in chosen
                else nan
                for other in order[n_rounds:].tolist()
            ]
            test[name].append(float(np.mean(np.array(judged, dtype=np.float64))))
    scores = {name: np.array(values) for name, values in test.items()}
    return {
        "task": study.task,
        "method": study.method,
        "study": study.study,
        "configs": len(_racing(known, top)) if trials is None else trials,
        "seeds": len(seeds),
        "rounds": n_rounds,
        "runs": float(np.mean(counts)),
        "replays": repeats,
        **{name: _mean(values) for name, values in scores.items()},
        **{
            f"{name}_worse": _mean(
                np.where(np.isnan(scores[name]), nan, scores[name] < scores["default"])
            )
            for name in CHOICES[1:]
        },
    }


def _mean(values: Float[np.ndarray, " replays"]) -> float:
    """Return the mean over the replays in which there were as many trials."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else nan


def _best_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row["val_balanced_accuracy"], row["trial_number"]))


def _racing(best_first: Sequence[Row], top: int) -> list[Row]:
    return [row for place, row in enumerate(best_first) if place < top or row["is_default"]]


def _raced(
    racing: Sequence[Row],
    runs: dict[str, dict[int, Row]],
    seeds: Sequence[int],
    is_behind: IsBehind,
) -> tuple[Row | None, int]:
    """Return what wins a race of these rounds, and how many retrainings it takes."""
    known: dict[str, list[Row]] = {row["key"]: [] for row in racing}
    n_runs, left = 0, list(racing)
    for seed in seeds:
        if len(left) < LEAST:
            break
        for row in left:
            known[row["key"]].append(runs[row["key"]][seed])
        n_runs += len(left)
        left = left_of(left, known, is_behind)
    return leader_of(left, known), n_runs


def _text(frame: pd.DataFrame) -> list[Part]:
    lines = frame.to_dict("records")
    more = not frame["more_trials"].isna().all()
    names = ("best_val", "race", *(("more_trials",) if more else ()))
    titles = {"best_val": "best val", "race": "race", "more_trials": "more trials"}
    header = ("method", "configs", "rounds", "runs", "default", *(titles[name] for name in names))
    header = (*header, *(f"worse: {titles[name]}" for name in names))
    parts: list[Part] = [
        "Test balanced accuracy, %, of what is chosen by the best val score of the search and by a "
        "race on fresh seeds"
        + (
            ", and by the best val score of as many more trials as the race took runs"
            if more
            else ""
        )
        + ", judged by the seeds that the race did not use; `worse`: in how many replays it is "
        "below the default there."
    ]
    for task in dict.fromkeys(line["task"] for line in lines):
        cells = [
            [
                str(line["method"]),
                str(line["configs"]),
                str(line["rounds"]),
                f"{line['runs']:.1f}",
                *(percent(line[name]) for name in ("default", *names)),
                *(f"{100 * line[f'{name}_worse']:.0f} %" for name in names),
            ]
            for line in lines
            if line["task"] == task
        ]
        parts += ["", str(task), Table(header, cells)]
    means = {name: float(frame[name].mean()) if len(frame) else nan for name in SCORES}
    scores = ", ".join(f"{titles[name]} {percent(means[name])}" for name in names)
    worse = ", ".join(f"{titles[name]} {100 * means[f'{name}_worse']:.1f} %" for name in names)
    return [
        *parts,
        "",
        f"Over {len(frame)} studies: default {percent(means['default'])}, {scores}. "
        f"Worse than the default: {worse}.",
    ]
