"""Confirmation: the selected and the default config of a study, retrained with fresh seeds."""

from dataclasses import replace

from lmd_bench.core.schema import Phase, TrialContext
from lmd_bench.core.seeding import derive_seed
from lmd_bench.search.jobs import Job, Row, config_of, make_job, ranked, value_of
from lmd_bench.search.proposing.levels import best_over_levels
from lmd_bench.search.proposing.study import Study


def confirmed_rows(
    study: Study, robust: str = "mean", winner: Row | None = None
) -> list[tuple[Row, int]]:
    """Return the search rows to confirm, each with the level at which: the best, then the default.

    Failed trials are not among them. Over several levels the best is the one over all of them, and
    is confirmed at each. `winner` is what a race has chosen in place of the best val score.
    """
    # The default is confirmed whatever it came to: what tuning gains is measured against it.
    default = [
        (row, study.level(row))
        for row in study.rows
        if row["is_default"] and value_of(row) is not None
    ]
    if study.spec.n_levels == 1:
        best = ranked(study.rows)[:1] if winner is None else [winner]
        return [(row, 0) for row in best] + [pair for pair in default if pair[0] not in best]
    chosen = best_over_levels(study.rows, study.level, study.factors, robust)
    if chosen is None or chosen["is_default"]:
        return default
    return [(chosen, level) for level in range(study.spec.n_levels)] + default


def confirmation_jobs(
    study: Study,
    base_seed: int,
    n_seeds: int,
    context: TrialContext,
    robust: str = "mean",
    winner: Row | None = None,
) -> list[Job]:
    """Return the full-pipeline trials that confirm a finished study, done or not.

    The seeds are the same for every study, so methods are compared on pairs and share encoders.
    """
    return [
        retraining(study, row, base_seed, index, context, level)
        for row, level in confirmed_rows(study, robust, winner)
        for index in range(n_seeds)
    ]


def retraining(
    study: Study,
    row: Row,
    base_seed: int,
    index: int,
    context: TrialContext,
    level: int = 0,
    phase: Phase = "confirm",
) -> Job:
    """Return the full-pipeline trial of a search row's config with one of the seeds of a phase.

    A seed is named by its index alone, not by study or config. All methods so start from the same
    draws, and a stage 1 that several of them stand on is trained once per seed.
    """
    config = config_of(row)
    how = replace(
        context,
        trial_number=int(row["trial_number"]),
        is_default=bool(row["is_default"]),
        encoder_rank=study.rank_of(config),
        source_key=row["key"],
    )
    seed = derive_seed(base_seed, phase, index)
    return make_job(replace(study.spec_of(config, level), seed=seed, phase=phase), how)
