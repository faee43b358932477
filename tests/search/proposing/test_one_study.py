"""One study by itself: what it may still run, under trials or hours, and what it proposes next."""

import json
from dataclasses import replace

import pytest
from memory_search import MemoryStore, queue_of, row_of, run_all

from lmd_bench.search.proposing.study import ENCODER_RANK, MOST_ALIKE, Proposal, Study


class Alone:
    """A study whose trials are run by hand."""

    def __init__(self, ask, name="cross_entropy", **fields):
        fields = {"confirm_seeds": 0, "sampler": "random"} | fields
        queue = queue_of(ask(name, **fields), MemoryStore())
        (self.study,) = queue.studies.values()
        self.now = 0.0
        self.study.clock.now = lambda: self.now

    def row(self, proposal: Proposal, status="ok", **fields):
        ok = status == "ok"
        return {
            "key": proposal.spec.key,
            "trial_number": proposal.trial_number,
            "is_default": proposal.is_default,
            "proposed_by": proposal.proposed_by,
            "status": status,
            "cause": "" if ok else "a cause",
            "config_json": json.dumps(dict(proposal.spec.config)),
            "val_balanced_accuracy": 0.5 if ok else None,
            "seconds": 600.0,
            "gpu_share": 0.0,
            "n_threads": 1,
            "curve": [],
        } | fields

    def run(self, status="ok", **fields):
        proposal = self.study.ask()
        self.study.tell(self.row(proposal, status, **fields))
        return proposal


@pytest.fixture
def alone(ask):
    return lambda *names, **fields: Alone(ask, *names, **fields)


def test_what_runs_is_reserved_at_what_a_trial_takes_or_has_taken_already(alone):
    own = alone(hours=1.0)
    study = own.study
    study.clock.units = 2.0
    study.ask()
    # Until one has ended, none runs beside it.
    assert (study.budget, study.wants_trial, study.done) == (1, False, False)
    study.tell(own.row(*study.running.values(), n_threads=2))  # a third of an hour
    assert study.budget == 3
    second = study.ask()
    assert study.budget == 3
    own.now = 900.0  # half an hour of both cores; half of what is left is no trial's worth
    assert study.budget == 2
    assert not study.wants_trial
    own.now = 0.0
    study.clock.charge(300.0)  # a sixth
    assert study.budget == 2
    study.clock.charge(-300.0)
    assert study.budget == 3
    study.tell(own.row(second, n_threads=2))
    assert (study.budget, study.wants_trial) == (3, True)
    assert study.share == 2 / 3


def test_hours_that_are_overspent_leave_the_budget_at_what_was_run(alone):
    own = alone(hours=1.0)
    own.run(seconds=9000.0)
    assert (own.study.budget, own.study.done) == (1, True)


def test_hours_that_were_lost_before_the_first_trial_do_not_keep_it_from_running(alone):
    own = alone(hours=1.0)
    own.study.clock.charge(7200.0)
    assert own.study.wants_trial
    own.run("oom")
    assert own.study.done


@pytest.mark.parametrize(("seconds", "n"), [(1800.0, 2), (1799.0, 3), (3600.0, 1)])
def test_failed_trials_run_one_by_one_until_the_hours_are_spent(alone, seconds, n):
    own = alone(hours=1.0)
    for ran in range(n):
        assert own.study.budget == ran + 1
        proposal = own.study.ask()
        assert not own.study.wants_trial
        own.study.tell(own.row(proposal, "oom", seconds=seconds))
    assert (own.study.budget, own.study.done) == (n, True)


def test_a_trial_that_exactly_fits_is_run(alone):
    own = alone(hours=0.3)
    while own.study.wants_trial:
        own.run(seconds=108.0)  # 0.03 h, which no float holds
    assert len(own.study.rows) == 10


def error(cause, status="error"):
    return {"status": status, "cause": cause}


@pytest.mark.parametrize(
    ("ends", "stopped"),
    [
        ([error(f"no file {n}") for n in range(MOST_ALIKE)], True),
        ([error("x")] * (MOST_ALIKE - 1), False),
        ([error("other")] + [error("x")] * MOST_ALIKE, True),
        ([error("x")] * (MOST_ALIKE - 1) + [error("other")], False),
        ([error("x")] * (MOST_ALIKE - 1) + [error("x", "lost")], False),
        ([error("x", "diverged")] * MOST_ALIKE, False),
        ([error("x", "diverged")] + [error("x")] * (MOST_ALIKE - 1), False),
    ],
)
def test_only_the_latest_failures_of_one_kind_stop_a_study(alone, ends, stopped):
    own = alone(n_trials=30)
    for end in ends:
        own.run(**end)
    assert own.study.stopped == stopped
    assert own.study.done == stopped
    assert own.study.budget == (len(ends) if stopped else 30)


def test_the_latest_failures_are_the_latest_by_number_whichever_ended_last(alone):
    own = alone(n_trials=30)
    proposals = [own.study.ask() for _ in range(MOST_ALIKE + 1)]
    for proposal in proposals[1:]:
        own.study.tell(own.row(proposal, "error"))
    assert own.study.stopped
    # What runs is waited for, and a first trial that ends last changes nothing.
    assert (own.study.budget, own.study.done) == (MOST_ALIKE + 1, False)
    own.study.tell(own.row(proposals[0]))
    assert own.study.stopped
    assert own.study.done


def test_a_gap_among_the_numbers_is_filled_before_new_ones_are_given(alone):
    own = alone(n_trials=6)
    ran = [own.run() for _ in range(4)]
    rows = [own.row(ran[number]) for number in (3, 0)]
    again = Study(own.study.spec, rows)
    assert [row["trial_number"] for row in again.rows] == [0, 3]
    numbers = [again.ask().trial_number for _ in range(4)]
    assert numbers == [1, 2, 4, 5]
    assert not again.wants_trial
    assert [proposal.spec.key for proposal in again.running.values()][:2] == [
        ran[1].spec.key,
        ran[2].spec.key,
    ]


def test_a_trial_that_ended_runs_no_more(alone):
    own = alone(n_trials=3)
    proposal = own.study.ask()
    assert list(own.study.running) == [proposal.spec.key]
    assert proposal.is_default
    assert (proposal.trial_number, proposal.encoder_rank, proposal.proposed_by) == (
        *(0, None),
        "default",
    )
    own.study.tell(own.row(proposal))
    assert own.study.running == {}
    assert not own.study.done
    second = own.run()
    assert (second.is_default, second.proposed_by, second.trial_number) == (False, "sampler", 1)


def test_trials_of_a_sampler_that_is_told_nothing_are_all_different(alone):
    own = alone("logit_adjustment", n_trials=4, joint=True)
    keys = [own.run().spec.key for _ in range(4)]
    assert len(set(keys)) == 4


def point(stage, value):
    return {"stage": stage, "val_balanced_accuracy": value}


def test_thresholds_come_from_the_curves_of_what_ended_well_or_was_pruned(alone):
    own = alone(n_trials=20, n_epochs=4, pruner="median")
    default = own.study.ask()
    assert own.study.thresholds(default) == ()
    for number in range(12):
        proposal = default if number == 0 else own.study.ask()
        status = ("ok", "pruned", "oom")[number % 3]
        value = 9.0 if status == "oom" else 0.5  # what failed says nothing
        curve = [*(point("representation", value) for _ in range(4)), point("calibration", 7.0)]
        own.study.tell(own.row(proposal, status, curve=curve))
    given = own.study.thresholds(own.study.ask())
    assert given
    assert {value for _, value in given} == {0.5}


def test_a_study_without_a_pruner_ends_no_trial(alone):
    own = alone(n_trials=20)
    for _ in range(12):
        own.run(curve=[point("representation", 0.5)] * 2)
    assert own.study.thresholds(own.study.ask()) == ()


def test_what_proposed_an_old_row_follows_from_its_number(alone):
    own = alone(n_trials=6)
    kept = {"training.lr": 0.011}
    points = ({**own.study.spec.default, **kept}, {**own.study.spec.default, "training.lr": 0.012})
    study = Study(replace(own.study.spec, points=points), [])
    told = [study._proposed_by({"trial_number": number}) for number in range(4)]
    assert told == ["default", "point", "point", "sampler"]
    assert study._proposed_by({"trial_number": 0, "proposed_by": "prior"}) == "prior"
    proposals = [study.ask() for _ in range(4)]
    assert [proposal.proposed_by for proposal in proposals] == told
    assert [p.spec.config["training.lr"] for p in proposals[1:3]] == [0.011, 0.012]


def only(queue, method):
    return next(s for s in queue.studies.values() if s.spec.method.name == method)


def test_a_calibration_whose_encoder_has_left_the_first_ranks_keeps_it_on_offer(ask):
    store = MemoryStore()
    request = ask("crt", n_trials=4, top_k=1, confirm_seeds=0)
    run_all(queue_of(request, store), store)
    before = only(queue_of(request, store), "crt")
    used = {canonical(row) for row in before.rows}
    # New trials of stage 1 are better than all: the ranks of those that were used fall.
    larger = ask("crt", n_trials=8, top_k=1, confirm_seeds=0)
    queue = queue_of(larger, store)
    while not only(queue, "crt").ready:
        job = queue.next()
        store.write({**row_of(job), "val_balanced_accuracy": 2.0 + job.context.trial_number})
        queue.ended(job.key, "")
    study = only(queue, "crt")
    assert 1 in study.encoders
    offered = {json.dumps(dict(e.config), sort_keys=True) for e in study.encoders.values()}
    assert used <= offered
    assert len(offered) == len(used) + 1
    assert study.n_stage1_trials == 8
    assert [e.rank for e in only(queue, "cross_entropy").ranked_encoders()] == list(range(1, 9))
    choices = study._proposals.space[ENCODER_RANK].choices
    assert list(choices) == sorted(study.encoders)


def canonical(row):
    config = json.loads(row["config_json"])
    stage1 = {k: v for k, v in config.items() if k.startswith(("training.", "cross_entropy."))}
    return json.dumps(stage1, sort_keys=True)


def test_no_trial_is_asked_of_a_study_that_waits_for_encoders(ask):
    study = only(queue_of(ask("crt", n_trials=2), MemoryStore()), "crt")
    assert not study.ready
    assert not study.wants_trial
    assert not study.done
    with pytest.raises(AssertionError, match="opened before it is asked"):
        study.ask()
