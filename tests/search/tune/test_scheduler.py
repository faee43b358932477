"""What Ray says of a death, in our words; the texts are those that Ray 2.60 writes."""

import pytest

from lmd_bench.search.tune.adapters import death


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
