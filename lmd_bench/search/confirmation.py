"""Confirmation: the selected and the default config of a study, retrained with fresh seeds."""

from dataclasses import replace

from lmd_bench.core.schema import TrialContext
from lmd_bench.core.seeding import derive_seed
from lmd_bench.search.jobs import Job, Row, config_of, make_job, ranked, value_of
from lmd_bench.search.proposing.study import Study


def confirmed_rows(study: Study) -> list[Row]:
    """Return the search rows to confirm: the best on val, then the default if it is another.

    Failed trials are not among them.
    """
    # The default is confirmed whatever it came to: what tuning gains is measured against it.
    best = ranked(study.rows)[:1]
    default = [row for row in study.rows if row["is_default"] and value_of(row) is not None]
    return best + [row for row in default if row["key"] != best[0]["key"]]


def confirmation_jobs(
    study: Study, base_seed: int, n_seeds: int, context: TrialContext
) -> list[Job]:
    """Return the full-pipeline trials that confirm a finished study, done or not.

    The seeds are the same for every study, so methods are compared on pairs and share encoders.
    """
    jobs: list[Job] = []
    for row in confirmed_rows(study):
        config = config_of(row)
        how = replace(
            context,
            trial_number=int(row["trial_number"]),
            is_default=bool(row["is_default"]),
            encoder_rank=study.rank_of(config),
            source_key=row["key"],
        )
        # A seed is named by its index alone, not by study or config. All methods so start from the
        # same draws, and a stage 1 that several of them stand on is trained once per seed.
        for index in range(n_seeds):
            seed = derive_seed(base_seed, "confirm", index)
            spec = replace(study.spec_of(config), seed=seed, phase="confirm")
            jobs.append(make_job(spec, how))
    return jobs
