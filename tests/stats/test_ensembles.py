import numpy as np
import pytest

from lmd_bench.stats.ensembles import balanced_log_loss, greedy_counts, weighted_mean

LABELS = np.array([0, 0, 0, 1])
RIGHT = np.array([[0.8, 0.2]] * 3 + [[0.2, 0.8]])
OF_MANY = np.array([[0.9, 0.1]] * 3 + [[0.9, 0.1]])  # says class 0 of everything


def test_each_class_counts_the_same_in_the_loss():
    loss = balanced_log_loss(LABELS, OF_MANY)
    assert loss == pytest.approx(-(np.log(0.9) + np.log(0.1)) / 2)


def test_a_probability_of_0_is_a_large_loss_and_not_an_infinite_one():
    assert np.isfinite(balanced_log_loss(np.array([0]), np.array([[0.0, 1.0]])))


def test_the_best_member_alone_is_picked_where_no_other_helps():
    counts = greedy_counts(LABELS, np.stack([OF_MANY, RIGHT, 1 - RIGHT]))
    assert counts.tolist() == [0, 1, 0]


def test_members_that_err_on_different_images_are_picked_together():
    first = np.array([[0.9, 0.1], [0.4, 0.6]] * 2)
    second = np.array([[0.6, 0.4], [0.1, 0.9]] * 2)
    labels = np.array([0, 1, 0, 1])
    members = np.stack([first, second])
    counts = greedy_counts(labels, members)
    assert (counts > 0).all()
    together = balanced_log_loss(labels, weighted_mean(members, counts))
    assert together < min(balanced_log_loss(labels, member) for member in members)


def test_a_member_may_be_picked_more_often_than_another():
    # the loss is least where the poor one has a weight of .15
    good = np.array([[0.6, 0.4], [0.1, 0.9]])
    poor = np.array([[1.0, 0.0], [0.6, 0.4]])
    counts = greedy_counts(np.array([0, 1]), np.stack([poor, good]))
    assert counts[0] / counts.sum() == pytest.approx(0.15, abs=0.02)


def test_of_equal_members_the_first_is_taken_and_picks_have_an_end():
    assert greedy_counts(LABELS, np.stack([RIGHT, RIGHT])).tolist() == [1, 0]
    drawn = np.random.default_rng(0).dirichlet([1, 1], size=(30, 4))
    assert greedy_counts(LABELS, drawn, most=3).sum() <= 3


def test_the_mean_is_weighted_by_the_picks():
    mean = weighted_mean(np.stack([RIGHT, OF_MANY]), np.array([3, 1]))
    assert mean[3].tolist() == pytest.approx([0.75 * 0.2 + 0.25 * 0.9, 0.75 * 0.8 + 0.25 * 0.1])
