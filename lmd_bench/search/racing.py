"""Racing: the best configurations of val retrained on fresh seeds until one of them is left.

The best of many val scores is partly luck, of the seed and of a few images. So the first few are
retrained in rounds, one fresh seed each, and compared on val by what these runs come to; the score
that chose them counts no more. What is behind the leader drops out; the default stays to the end.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isnan

from lmd_bench.core.schema import TrialContext
from lmd_bench.leaderboard.studies.measure import measure
from lmd_bench.leaderboard.studies.predictions import judged_runs
from lmd_bench.leaderboard.studies.rules import race_order
from lmd_bench.search.confirmation import retraining
from lmd_bench.search.jobs import Job, Row, ranked, value_of
from lmd_bench.search.proposing.study import Study
from lmd_bench.stats.paired import LEVEL
from lmd_bench.store.store import Store

Runs = Sequence[Row]  # of one configuration, one a seed
IsBehind = Callable[[Runs, Runs], bool]  # the second, of the first


def race(
    study: Study,
    ran: Mapping[str, Row],
    is_behind: IsBehind,
    *,
    top: int,
    n_rounds: int,
    base_seed: int,
    context: TrialContext,
) -> tuple[list[Job], Row | None]:
    """Return the runs of a race as far as they are known, and what won once that is decided.

    Args:
        study: Finished.
        ran: Rows of runs of the race that have ended, by key.
        is_behind: Says whether a configuration falls behind another.
        top: Configurations that start, best on val first; the default starts besides.
        n_rounds: At most.
        base_seed: Of the seeds, which are the same for every study.
        context: Of the runs.
    """
    started = {row["source_key"] for row in ran.values() if row["study"] == study.spec.id}
    best = ranked(study.rows)
    # What raced before the budget of the study grew goes on with the others.
    racing = [
        row
        for place, row in enumerate(best)
        if place < top or row["is_default"] or row["key"] in started
    ]
    jobs: list[Job] = []
    runs: dict[str, list[Row]] = {row["key"]: [] for row in racing}
    for index in range(n_rounds):
        # One alone needs no further round.
        if len(racing) < 2:
            break
        of_round = {
            row["key"]: retraining(study, row, base_seed, index, context, phase="race")
            for row in racing
        }
        jobs += of_round.values()
        if any(job.key not in ran for job in of_round.values()):
            return jobs, None
        for key, job in of_round.items():
            runs[key].append(ran[job.key])
        racing = left_of(racing, runs, is_behind)
    # Where every retraining failed, what its one val score says has to do.
    return jobs, leader_of(racing, runs) or next(iter(best), None)


def left_of(racing: Sequence[Row], runs: Mapping[str, Runs], is_behind: IsBehind) -> list[Row]:
    """Return which search rows stay in a race after a round; a failed retraining drops out too."""
    going = [row for row in racing if all(value_of(run) is not None for run in runs[row["key"]])]
    if not going:
        return []
    leader = leader_of(going, runs)
    assert leader is not None, "one of them leads"
    return [
        row
        for row in going
        if row is leader
        or row["is_default"]
        or not is_behind(runs[leader["key"]], runs[row["key"]])
    ]


def leader_of(racing: Sequence[Row], runs: Mapping[str, Runs]) -> Row | None:
    """Return the search row with the best mean on val of its retrainings; None of none."""
    return min(racing, key=lambda row: race_order(row, runs[row["key"]]), default=None)


def behind_on_val(store: object) -> IsBehind:
    """Return the test of a race: paired on the val images and the seeds of both, at 5 %.

    Where no logits are stored, nothing is told apart, and all run to the last round.
    """

    def is_behind(leader: Runs, other: Runs) -> bool:
        if not isinstance(store, Store):
            return False
        sides = []
        for weight, runs in ((1.0, leader), (-1.0, other)):
            source = store.get(runs[0]["key"])
            by_seed = {int(run["seed"]): run for run in runs}
            judged = source and judged_runs(store, "", by_seed, source, split="val")
            if not judged:
                return False
            sides.append((weight, judged))
        shared = [seed for seed in sides[0][1].seeds if seed in sides[1][1].seeds]
        lead = measure(sides, shared, lesions=sides[0][1].clusters)
        return not isnan(lead.p) and lead.value > 0 and lead.p < LEVEL

    return is_behind
