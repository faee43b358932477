"""What ends a trial early, alone and in a real trial."""

from dataclasses import replace

import pytest

from lmd_bench.core.errors import OvertimeError, PrunedError
from lmd_bench.core.schema import Progress, TrialContext
from lmd_bench.training import limits
from lmd_bench.training.limits import Watch


def epoch(number, value, stage="representation"):
    return Progress(stage, number, 10, 1.0, value)


def test_a_trial_ends_where_its_best_so_far_is_below_the_threshold(tmp_path):
    context = TrialContext(tmp_path, thresholds=((2, 0.3), (3, 0.5)))
    told = []
    watch = Watch(told.append, context)
    watch(epoch(1, 0.3))
    watch(epoch(2, 0.1))  # the best so far is 0.3
    with pytest.raises(PrunedError, match="0.300 by epoch 3 of 10, below 0.500"):
        watch(epoch(3, 0.2))
    assert len(told) == len(watch.seen) == watch.n_epochs == 3


def test_no_score_from_before_the_epoch_that_it_is_judged_from_saves_a_trial(tmp_path):
    context = TrialContext(tmp_path, thresholds=((3, 0.45), (4, 0.45)), judged_from=3)
    rises, falls = (Watch(lambda progress: None, context) for _ in range(2))
    for number, value in enumerate((0.4, 0.4, 0.5, 0.3), start=1):
        rises(epoch(number, value))  # its best since epoch 3 is 0.5
    falls(epoch(1, 0.55))
    falls(epoch(2, 0.55))
    with pytest.raises(PrunedError, match="0.400 by epoch 3 of 10, below 0.450"):
        falls(epoch(3, 0.4))


def test_stage_2_is_never_pruned(tmp_path):
    watch = Watch(lambda progress: None, TrialContext(tmp_path, thresholds=((1, 0.9),)))
    watch(epoch(1, 0.1, stage="calibration"))
    assert watch.n_epochs == 0


def test_a_trial_ends_at_the_epoch_after_its_time(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    watch = Watch(lambda progress: None, TrialContext(tmp_path, time_limit=60.0))
    now[0] = 160.0
    watch(epoch(1, 0.1))
    now[0] = 161.0
    with pytest.raises(OvertimeError, match="61 s at representation epoch 2 of 10, where 60 s"):
        watch(epoch(2, 0.1))


def test_no_limits_end_nothing(tmp_path):
    context = TrialContext(tmp_path)
    watch = Watch(lambda progress: None, replace(context, n_threads=1))
    for number in range(1, 11):
        watch(epoch(number, 0.0))
