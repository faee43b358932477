"""--retry-failed: what runs again, and what comes of it."""

import json

import pytest
from memory_search import MemoryStore, queue_of, row_of, run_all

from lmd_bench.core.errors import UserError


def failing(store, **of_number):
    """Return a way to end trials: by the number of a crt trial, else ok."""

    def status(job):
        if job.spec.phase == "search" and job.spec.method == "crt":
            return of_number.get(f"n{job.context.trial_number}", "ok")
        return "ok"

    return status


@pytest.mark.parametrize("deterministic", [False, True])
def test_what_failed_for_a_reason_outside_its_config_runs_again_under_its_key(ask, deterministic):
    asked = {"n_trials": 4, "deterministic": deterministic}
    store = MemoryStore()
    ends = failing(store, n0="lost", n1="node_lost", n2="oom", n3="timeout")
    run_all(queue_of(ask("crt", **asked), store), store, status=ends)
    failed = [row for row in store.rows() if row["status"] != "ok"]
    assert run_all(queue_of(ask("crt", **asked), store), store) == []
    ran = run_all(queue_of(ask("crt", retry_failed=True, **asked), store), store)
    again = [job for job in ran if job.spec.phase == "search"]
    first = failed if not deterministic else failed[:1]  # later ones follow from what it gives
    assert [job.key for job in again][: len(first)] == [row["key"] for row in first]
    assert [job.context.trial_number for job in again] == [0, 1, 2, 3]
    assert [job.context.is_default for job in again] == [True, False, False, False]
    assert {job.spec.phase for job in ran} == {"search", "confirm"}
    if not deterministic:
        assert {row["status"] for row in store.rows()} == {"ok"}


def test_an_uninterrupted_search_and_a_retried_one_hold_the_same_rows(ask):
    asked = {"n_trials": 4, "deterministic": True}
    whole, store = MemoryStore(), MemoryStore()
    run_all(queue_of(ask("crt", **asked), whole), whole)
    ends = failing(store, n2="lost", n3="node_lost")
    run_all(queue_of(ask("crt", **asked), store), store, status=ends)
    run_all(queue_of(ask("crt", retry_failed=True, **asked), store), store)
    assert whole.by_key == {key: store.by_key[key] for key in whole.by_key}


def test_what_diverged_or_was_pruned_stays(ask):
    store = MemoryStore()
    ends = failing(store, n1="diverged", n2="pruned")
    run_all(queue_of(ask("crt", n_trials=4), store), store, status=ends)
    assert run_all(queue_of(ask("crt", n_trials=4, retry_failed=True), store), store) == []


def test_a_failed_confirmation_runs_again(ask):
    store = MemoryStore()
    run_all(
        queue_of(ask("cross_entropy"), store),
        store,
        status=lambda job: "error" if job.spec.phase == "confirm" else "ok",
    )
    ran = run_all(queue_of(ask("cross_entropy", retry_failed=True), store), store)
    confirmations = {row["key"] for row in store.rows() if row["phase"] == "confirm"}
    assert {job.key for job in ran} == confirmations
    assert len(ran) == len(confirmations) >= 2
    assert {row["status"] for row in store.rows()} == {"ok"}


def test_a_trial_whose_worker_dies_again_does_not_take_its_old_row_for_a_new_one(ask):
    store = MemoryStore()
    ends = failing(store, n1="lost")
    run_all(queue_of(ask("crt"), store), store, status=ends)
    queue = queue_of(ask("crt", retry_failed=True), store)
    job = queue.next()
    assert queue.ended(job.key, "kill -9") is None  # put back
    assert queue.next().key == job.key
    row = queue.ended(job.key, "the second death")
    assert (row["status"], row["cause"]) == ("lost", "the second death")


def test_a_trial_that_had_no_point_on_offer_keeps_its_config(ask):
    store = MemoryStore()
    ends = failing(store, n3="error")
    run_all(queue_of(ask("crt"), store), store, status=ends)
    (failed,) = [row for row in store.rows() if row["status"] != "ok"]
    job = queue_of(ask("crt", retry_failed=True), store).next()
    assert job.key == failed["key"] == row_of(job)["key"]
    assert dict(job.spec.config) == json.loads(failed["config_json"])


def test_a_mirror_is_refused(ask):
    with pytest.raises(UserError, match="which a mirror keeps"):
        ask("crt", retry_failed=True, mirror="memory://x")
