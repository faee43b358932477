"""When a running trial that says nothing is taken for hung."""

import pytest

from lmd_bench.search.silence import LEAST, PAST_LIMIT, TIMES, UNKNOWN, Silence


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_before_any_epoch_it_may_take_as_long_as_images_take(clock):
    silence = Silence(clock)
    silence.begins("a")
    clock.now = UNKNOWN - 1
    assert silence.hung(None) == []
    clock.now = UNKNOWN + 1
    ((key, why),) = silence.hung(None)
    assert key == "a"
    assert "silent" in why


def test_long_epochs_give_long_patience(clock):
    silence = Silence(clock)
    silence.begins("a")
    for _ in range(2):
        clock.now += 1000.0
        silence.epoch("a")
    clock.now += TIMES * 1000.0 - 1
    assert silence.hung(None) == []
    clock.now += 2
    assert [key for key, _ in silence.hung(None)] == ["a"]


def test_short_epochs_still_give_a_disk_time_to_come_back(clock):
    silence = Silence(clock)
    silence.begins("a")
    for _ in range(3):
        clock.now += 0.1
        silence.epoch("a")
    clock.now += LEAST - 1
    assert silence.hung(None) == []
    clock.now += 2
    assert silence.hung(None)


def test_a_limit_holds_before_the_first_epoch(clock):
    silence = Silence(clock)
    silence.begins("a")
    clock.now = 30.0 + PAST_LIMIT - 1
    assert silence.hung(30.0) == []
    clock.now += 2
    assert [key for key, _ in silence.hung(30.0)] == ["a"]


def test_who_waits_for_another_lives_and_spends_no_time(clock):
    silence = Silence(clock)
    silence.begins("a")
    for _ in range(400):
        clock.now += 20.0
        silence.waits("a")
        assert silence.hung(30.0) == []


def test_a_trial_that_ended_is_not_listened_to(clock):
    silence = Silence(clock)
    silence.begins("a")
    silence.ends("a")
    clock.now = 10 * UNKNOWN
    assert silence.hung(None) == []
