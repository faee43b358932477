import json
import math
from collections import Counter

import pytest
from memory_search import MemoryStore, assert_goes_on, queue_of, row_of
from scipy.stats import chisquare

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.search.plan import plan
from lmd_bench.search.proposing.levels import level_of
from lmd_bench.search.proposing.samplers import SAMPLERS

FACTORS = (10.0, 21.0, 45.0, 95.0, 200.0)
TASKS = tuple(
    (TaskSpec("synthetic", imbalance_factor=factor, image_size=32), f"{place}" * 20)
    for place, factor in enumerate(FACTORS)
)
N = len(FACTORS)


@pytest.fixture
def over(ask):
    """Return a maker of requests over a range of factors."""

    def make(*names, **fields):
        return ask(*names, **({"tasks": TASKS, "over_factors": True, "n_trials": 12} | fields))

    return make


def scored(job, status="ok"):
    """Return a row whose score falls with the factor, whatever the config."""
    row = row_of(job, status)
    factor = job.spec.task.imbalance_factor
    if row["val_balanced_accuracy"] is not None:
        row["val_balanced_accuracy"] = 0.2 * row["val_balanced_accuracy"] + 0.8 - factor / 400
    return {**row, "imbalance_factor": factor, "factor_range": job.context.factor_range}


def run_scored(queue, store, most=10_000):
    ran = []
    while len(ran) < most and not queue.finished:
        job = queue.next()
        store.write(scored(job))
        queue.ended(job.key, "")
        ran.append(job)
    return ran


def factors_of(jobs, phase="search"):
    return [job.spec.task.imbalance_factor for job in jobs if job.spec.phase == phase]


def test_all_factors_are_one_study_that_begins_with_the_default_at_each(over):
    store = MemoryStore()
    queue = queue_of(over("cross_entropy"), store)
    (study,) = queue.studies.values()
    assert "if10to200x5" in study.spec.id
    assert study.spec.factor_range == "10:200"
    ran = run_scored(queue, store, most=N)
    assert factors_of(ran) == list(FACTORS)
    assert all(job.context.is_default for job in ran)
    assert {job.context.factor_range for job in ran} == {"10:200"}


@pytest.mark.parametrize("deterministic", [False, True])
def test_nothing_else_starts_until_the_default_is_known_at_every_factor(over, deterministic):
    store = MemoryStore()
    queue = queue_of(over("cross_entropy", deterministic=deterministic), store)
    jobs = []
    while hasattr(job := queue.next(), "spec"):
        jobs.append(job)
    # In lockstep a batch ends before the next one begins.
    assert len(jobs) == (4 if deterministic else N)
    for job in jobs[:-1]:
        store.write(scored(job))
        queue.ended(job.key, "")
        assert not hasattr(queue.next(), "spec")
    for job in jobs[-1:]:
        store.write(scored(job))
        queue.ended(job.key, "")
    assert queue.next().context.is_default == deterministic


def test_the_factor_is_no_setting_of_the_sampler(over):
    (study,) = queue_of(over("cross_entropy"), MemoryStore()).studies.values()
    assert not any("factor" in key for key in study._proposals.space)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_factors_are_drawn_evenly_under_every_sampler(over, sampler):
    request = over("cross_entropy", sampler=sampler, n_trials=25, confirm_seeds=0)
    store = MemoryStore()
    drawn = factors_of(run_scored(queue_of(request, store), store))[N:]
    counts = Counter(drawn)
    assert chisquare([counts[factor] for factor in FACTORS]).pvalue > 0.05
    # Nor do they come in an order that repeats.
    assert drawn[:N] != drawn[N : 2 * N] or drawn[N : 2 * N] != drawn[2 * N : 3 * N]


def test_the_level_of_a_trial_follows_from_its_number():
    levels = [level_of(number, 4, seed=3) for number in range(400)]
    assert levels[:4] == [0, 1, 2, 3]
    assert levels == [level_of(number, 4, seed=3) for number in range(400)]
    assert Counter(levels) == dict.fromkeys(range(4), 100)
    assert [level_of(number, 1, seed=3) for number in range(5)] == [0] * 5


def test_a_sampler_is_told_the_score_less_the_defaults_at_that_factor(over):
    store = MemoryStore()
    queue = queue_of(over("cross_entropy", confirm_seeds=0), store)
    run_scored(queue, store)
    (study,) = queue.studies.values()
    trials = study._proposals._study.get_trials(deepcopy=False)
    told = [trial.value for trial in trials if trial.value is not None]
    rows = sorted(store.rows(), key=lambda row: row["trial_number"])
    default = {r["imbalance_factor"]: r["val_balanced_accuracy"] for r in rows[:N]}
    # The default's scores fall already, so the monotone curve goes through all of them.
    others = [r["val_balanced_accuracy"] - default[r["imbalance_factor"]] for r in rows[N:]]
    assert told == pytest.approx([0.0, *others])


@pytest.mark.parametrize(
    ("sampler", "prefix"),
    [("tpe", 2), ("tpe", 5), ("tpe", 7), ("tpe", 11), ("tpe", 19), ("qmc", 7), ("nsga2", 11)],
)
def test_a_search_over_factors_that_was_cut_off_runs_exactly_the_rest(over, sampler, prefix):
    request = over("crt", "cross_entropy", sampler=sampler, n_trials=8)
    assert_goes_on(request, prefix, run_scored)


@pytest.mark.parametrize("prefix", [3, 6, 10])
def test_in_lockstep_too_it_runs_exactly_the_rest(over, prefix):
    request = over("cross_entropy", deterministic=True)
    whole = MemoryStore()
    run_scored(queue_of(request, whole), whole)
    store = MemoryStore()
    run_scored(queue_of(request, store), store, most=prefix)
    run_scored(queue_of(request, store), store)
    assert store.by_key == whole.by_key


def gain_of(job):
    """Return what a config truly gains on the default: it grows with the learning rate."""
    default = 0.05
    return 0.3 * max(0.0, math.log(float(job.spec.config["training.lr"]) / default))


def run_with_gains(queue, store):
    """Run a search in which a higher learning rate is better at every factor."""
    ran = []
    while not queue.finished:
        job = queue.next()
        value = 0.5 - job.spec.task.imbalance_factor / 1000 + gain_of(job)
        store.write({**scored(job), "val_balanced_accuracy": value})
        queue.ended(job.key, "")
        ran.append(job)
    return ran


@pytest.mark.parametrize("robust", ["mean", "worst"])
def test_the_best_over_the_range_and_the_default_are_confirmed_at_every_factor(over, robust):
    """An easy factor does not win: scores at the lowest are higher than those of better configs."""
    store = MemoryStore()
    request = over("cross_entropy", n_trials=20, robust=robust)
    ran = run_with_gains(queue_of(request, store), store)
    confirmed = [job for job in ran if job.spec.phase == "confirm"]
    chosen = [job for job in confirmed if not job.context.is_default]
    most = max(gain_of(job) for job in ran if job.spec.phase == "search")
    assert {gain_of(job) > 0.5 * most for job in chosen} == {True}
    assert Counter(factors_of(chosen, "confirm")) == dict.fromkeys(FACTORS, 2)
    assert len({json.dumps(dict(job.spec.config), sort_keys=True) for job in chosen}) == 1
    assert len({job.context.source_key for job in chosen}) == 1
    default = [job for job in confirmed if job.context.is_default]
    assert Counter(factors_of(default, "confirm")) == dict.fromkeys(FACTORS, 2)
    assert len({job.context.source_key for job in default}) == N


def test_one_score_that_stands_alone_is_taken_for_luck(over):
    store = MemoryStore()
    queue = queue_of(over("cross_entropy", n_trials=20), store)
    while not queue.finished:
        job = queue.next()
        luck = 0.2 if job.context.trial_number == 11 else 0.0
        value = 0.9 - job.spec.task.imbalance_factor / 400 + luck
        store.write({**scored(job), "val_balanced_accuracy": value})
        queue.ended(job.key, "")
    confirmed = [row for row in store.rows() if row["phase"] == "confirm"]
    assert len(confirmed) == 2 * N
    assert all(row["is_default"] for row in confirmed)


def test_where_nothing_is_better_the_default_is_chosen(over):
    store = MemoryStore()
    queue = queue_of(over("cross_entropy"), store)
    while not queue.finished:
        job = queue.next()
        worse = 0.0 if job.context.is_default else 0.1
        value = 0.9 - job.spec.task.imbalance_factor / 400 - worse
        store.write({**scored(job), "val_balanced_accuracy": value})
        queue.ended(job.key, "")
    confirmed = [row for row in store.rows() if row["phase"] == "confirm"]
    assert len(confirmed) == 2 * N
    assert all(row["is_default"] for row in confirmed)


def test_calibrations_stand_on_encoders_of_their_own_factor(over):
    store = MemoryStore()
    queue = queue_of(over("crt", n_trials=10, confirm_seeds=0), store)
    ran = run_scored(queue, store)
    (study,) = (s for s in queue.studies.values() if s.spec.stands_on)
    assert [encoder.is_default for encoder in study.encoders.values()].count(True) == 1
    for job in (job for job in ran if job.spec.method == "crt"):
        assert job.spec.task_fingerprint == TASKS[FACTORS.index(job.spec.task.imbalance_factor)][1]


def test_a_finite_space_runs_out_at_all_factors_at_once(over):
    store = MemoryStore()
    queue = queue_of(over("logit_adjustment", n_trials=60, top_k=3, confirm_seeds=0), store)
    run_scored(queue, store)
    (study,) = (s for s in queue.studies.values() if s.spec.stands_on)
    counts = Counter(study.level(row) for row in study.rows)
    assert set(counts.values()) == {len(study.encoders)}


def test_a_pruner_compares_trials_of_one_factor(over):
    store = MemoryStore()
    request = over("cross_entropy", n_trials=30, n_epochs=4, pruner="median", confirm_seeds=0)
    queue = queue_of(request, store)
    (study,) = queue.studies.values()
    while not queue.finished:
        job = queue.next()
        level = 0.9 - job.spec.task.imbalance_factor / 400
        if not job.context.is_default and job.context.thresholds:
            assert [t for _, t in job.context.thresholds] == pytest.approx([level] * 3)
        curve = [
            {"stage": "representation", "epoch": e, "loss": 1.0, "val_balanced_accuracy": level}
            for e in range(1, 5)
        ]
        store.write({**scored(job), "curve": curve})
        queue.ended(job.key, "")
    assert any(study.thresholds(replace_number(study, n)) for n in range(30, 35))


def replace_number(study, number):
    from lmd_bench.search.proposing.study import Proposal

    spec = study.spec_of(study.spec.default, study.spec.level_of(number))
    return Proposal(spec, number, False, None, "sampler")


def test_the_plan_counts_every_factor(over):
    request = over("cross_entropy", "crt", "logit_adjustment", n_trials=12)
    outline = plan(queue_of(request, MemoryStore()), lambda spec: False)
    store = MemoryStore()
    ran = run_scored(queue_of(request, store), store)
    assert outline.confirmations == 3 * 2 * 2 * N
    assert len(ran) <= outline.trials + outline.confirmations
    assert len({job.encoder for job in ran}) <= outline.encoders


def test_as_many_trials_as_factors_search_nothing(over):
    with pytest.raises(UserError, match="give trials 6 or more"):
        over("cross_entropy", n_trials=5)


def test_other_levels_are_another_study(over):
    first = queue_of(over("cross_entropy"), MemoryStore())
    other = queue_of(over("cross_entropy", tasks=TASKS[:4]), MemoryStore())
    assert not set(first.studies) & set(other.studies)


def test_a_default_that_fails_everywhere_ends_no_study(over):
    store = MemoryStore()
    queue = queue_of(over("cross_entropy"), store)
    while not queue.finished:
        job = queue.next()
        failed = job.context.is_default and job.spec.phase == "search"
        store.write(scored(job, "diverged" if failed else "ok"))
        queue.ended(job.key, "")
    confirmed = [row for row in store.rows() if row["phase"] == "confirm"]
    assert len(confirmed) == 2 * N
    assert not any(row["is_default"] for row in confirmed)


def test_a_warm_start_takes_what_is_best_relative_to_the_default(over):
    from lmd_bench.search.proposing.points import best_configs

    store = MemoryStore()
    queue = queue_of(over("cross_entropy", confirm_seeds=0), store)
    extra = None
    while not queue.finished:
        job = queue.next()
        row = scored(job)
        if row["imbalance_factor"] == 200.0 and not row["is_default"]:
            extra = extra or row["key"]
        row = {**row, "val_balanced_accuracy": 0.9 - row["imbalance_factor"] / 400}
        row["val_balanced_accuracy"] += 0.1 * (row["key"] == extra)
        store.write(row)
        queue.ended(job.key, "")
    rows = [
        {**row, "representation": "cross_entropy", "calibration": "none", "finished_at": "now"}
        for row in store.rows()
    ]
    (config,) = best_configs(rows)["cross_entropy+none"]
    assert dict(config).items() >= json.loads(store.by_key[extra]["config_json"]).items()
