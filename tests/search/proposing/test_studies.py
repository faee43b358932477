import json
import warnings

import pytest
from memory_search import MemoryStore, queue_of, row_of, run_all
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from lmd_bench.search.proposing.proposals import Proposals, Told, all_params, size
from lmd_bench.search.proposing.samplers import tpe
from lmd_bench.search.proposing.study import ENCODER_RANK

COLOURS = {"a.colour": CategoricalDistribution(["red", "green", "blue"])}


def only_study(queue, method):
    (study,) = (s for s in queue.studies.values() if s.spec.method.name == method)
    return study


def test_a_failed_trial_counts_and_is_told_to_optuna_as_failed(ask):
    store = MemoryStore()
    request = ask("cross_entropy", n_trials=5, confirm_seeds=0)
    queue = queue_of(request, store)
    ran = run_all(queue, store, status=lambda j: "oom" if j.context.trial_number == 2 else "ok")
    assert len(ran) == 5
    expected = [TrialState.COMPLETE] * 2 + [TrialState.FAIL] + [TrialState.COMPLETE] * 2
    for study in (only_study(q, "cross_entropy") for q in (queue, queue_of(request, store))):
        assert study._proposals.states() == expected


def test_a_nan_value_is_told_as_failed(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=1), store)
    job = queue.next()
    queue.complete(job.key, {**row_of(job), "val_balanced_accuracy": float("nan")})
    assert only_study(queue, "cross_entropy")._proposals.states() == [TrialState.FAIL]


def test_a_finite_space_is_run_through_and_no_further(ask):
    store = MemoryStore()
    queue = queue_of(ask("logit_adjustment", n_trials=8, top_k=3), store)
    run_all(queue, store)
    study = only_study(queue, "logit_adjustment")
    assert study.budget == len(study.encoders)
    assert len({row["config_json"] for row in study.rows}) == len(study.encoders)


def test_an_empty_space_has_one_config():
    assert size({}) == 1
    assert all_params({}) == [{}]


def test_the_size_of_a_space_is_the_product_of_its_values():
    space = {**COLOURS, "a.n": IntDistribution(2, 10, step=4)}  # 3 colours x {2, 6, 10}
    assert size(space) == 9
    assert len(all_params(space)) == 9
    assert size({**space, "a.lr": FloatDistribution(0.0, 1.0)}) is None


def test_an_exhausted_sampler_gives_what_is_left():
    proposals = Proposals(COLOURS, seed=0)
    tried = []
    for number in range(3):
        params = proposals.ask(number, lambda drawn: drawn not in tried)
        proposals.tell(number, Told((1.0 if params["a.colour"] == "red" else 0.0,)))
        tried.append(params)
    assert sorted(params["a.colour"] for params in tried) == ["blue", "green", "red"]


def test_the_encoders_on_offer_are_the_best_ones_and_the_default(ask):
    store = MemoryStore()
    queue = queue_of(ask("crt", n_trials=6, top_k=2), store)
    run_all(queue, store)
    base, study = only_study(queue, "cross_entropy"), only_study(queue, "crt")
    by_value = sorted(base.rows, key=lambda row: -row["val_balanced_accuracy"])
    default_rank = 1 + [row["is_default"] for row in by_value].index(True)
    assert set(study.encoders) == {1, 2, default_rank}
    assert study.rows[0]["encoder_rank"] == default_rank
    for row in study.rows:
        stage1 = json.loads(by_value[row["encoder_rank"] - 1]["config_json"])
        assert stage1.items() <= json.loads(row["config_json"]).items()


def test_equal_values_are_ranked_by_trial_number(ask):
    store = MemoryStore()
    queue = queue_of(ask("crt", n_trials=3), store)
    for _ in range(3):
        job = queue.next()
        queue.complete(job.key, {**row_of(job), "val_balanced_accuracy": 0.5})
    assert [e.is_default for e in only_study(queue, "crt").encoders.values()] == [
        True,
        False,
        False,
    ]


def test_a_default_whose_own_stage_1_failed_is_tried_all_the_same(ask):
    store = MemoryStore()
    queue = queue_of(ask("crt", n_trials=3), store)
    failed = only_study(queue, "cross_entropy").spec.default
    ran = run_all(
        queue,
        store,
        status=lambda j: "diverged" if failed.items() <= j.spec.config.items() else "ok",
    )
    first = next(job for job in ran if job.spec.method == "crt")
    assert first.context.is_default
    assert first.context.encoder_rank is None
    study = only_study(queue_of(ask("crt", n_trials=3), store), "crt")
    assert len(study.rows) == 3
    assert study.done


def test_a_fixed_key_leaves_the_space_and_holds_in_every_trial(ask):
    store = MemoryStore()
    queue = queue_of(ask("crt", "lmd", overrides={"training.lr": 0.02, "crt.lr": 0.1}), store)
    for job in run_all(queue, store):
        assert job.spec.config["training.lr"] == 0.02
        assert job.spec.config.get("crt.lr", 0.1) == 0.1
    assert "crt.lr" not in only_study(queue, "crt").spec.space
    assert "training.lr" not in only_study(queue, "cross_entropy").spec.space


def test_a_search_with_other_fixed_values_has_studies_of_its_own(ask):
    plain = queue_of(ask("crt"), MemoryStore())
    fixed = queue_of(ask("crt", overrides={"training.lr": 0.02}), MemoryStore())
    assert not set(plain.studies) & set(fixed.studies)


def test_trials_of_one_study_share_a_training_seed(ask):
    store = MemoryStore()
    ran = run_all(queue_of(ask("crt", "lmd", confirm_seeds=0), store), store)
    assert len({job.spec.seed for job in ran}) == 1


def test_the_sampler_learns_from_what_it_is_told():
    space = {"a.x": FloatDistribution(0.0, 1.0)}
    proposals = Proposals(space, seed=0)
    drawn = []
    for number in range(40):
        x = proposals.ask(number, lambda params: True)["a.x"]
        proposals.tell(number, Told((-abs(x - 0.8),)))
        drawn.append(abs(x - 0.8))
    assert sum(drawn[20:]) / 20 < 0.5 * sum(drawn[:10]) / 10


def test_the_sampler_is_made_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tpe(0)


def test_the_encoder_rank_is_searched(ask):
    store = MemoryStore()
    queue = queue_of(ask("crt", n_trials=8), store)
    run_all(queue, store)
    study = only_study(queue, "crt")
    assert ENCODER_RANK in study._proposals.space
    assert len({row["encoder_rank"] for row in study.rows}) > 1


@pytest.mark.parametrize("field", ["n_trials", "n_epochs", "top_k"])
def test_a_request_for_nothing_is_refused(ask, field):
    from lmd_bench.core.errors import UserError

    with pytest.raises(UserError, match="0 is not possible; give 1 or more"):
        ask("crt", **{field: 0})
