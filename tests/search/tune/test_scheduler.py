"""What Ray says of a death, in our words; the texts are those that Ray 2.60 writes."""

import pytest

from lmd_bench.search.tune.adapters import PREEMPTED, death


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Task was killed due to the node running low on memory.\nMemory on the node", "oom"),
        ("ray.exceptions.OutOfMemoryError: Task was killed", "oom"),
        ("The actor died because its node has died. Node Id: 5f2c", "node_lost"),
        ("The actor is dead because its node was terminated expectedly", "node_lost"),
        ("The actor died unexpectedly before finishing this task.", "lost"),
        ("", "lost"),
    ],
)
def test_a_death_has_its_status(text, status):
    found, cause = death(text)
    assert found == status
    assert cause


def test_a_preempted_node_is_no_death():
    text = "Failure # 0 (occurred at 2026-11-27)\nThe actor died because its node has died."
    assert death(text) == ("node_lost", PREEMPTED)


def test_the_cause_of_a_death_is_what_was_raised():
    text = (
        "Failure # 1 (occurred at 2026-11-27)\nray::ImplicitFunc.train() (pid=1, ip=127.0.0.1)\n"
        "Traceback (most recent call last):\n  File ...\n"
        "torch.AcceleratorError: CUDA error: an illegal memory access was encountered\n"
    )
    status, cause = death(text)
    assert status == "lost"
    assert cause == "torch.AcceleratorError: CUDA error: an illegal memory access was encountered"
