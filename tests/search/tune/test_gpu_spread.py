"""Shares of GPUs over clusters of all kinds: every GPU is used, and none is overfull."""

from math import ceil

import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.search.tune.slots import Node, n_slots, share_out, share_out_nodes

CLUSTERS = [
    [Node(32, 8)], [Node(32, 4)], [Node(8, 8)], [Node(64, 1)], [Node(2, 1)],
    [Node(6, 4)], [Node(16, 7)], [Node(128, 2)], [Node(64, 0), Node(16, 4)],
    [Node(0, 0), Node(8, 1)], [Node(32, 0), Node(8, 1), Node(8, 1)], [Node(64, 8), Node(32, 8)],
    [Node(16, 8), Node(64, 8)], [Node(32, 4)] * 4, [Node(16, 1), Node(64, 8)],
    [Node(8, 2), Node(12, 3)], [Node(4, 4), Node(256, 8)], [Node(96, 6), Node(1, 0)],
    [Node(14, 7), Node(14, 7)], [Node(48, 3), Node(24, 8)],
    # MIG: Ray counts each slice as a GPU; a card gives 7, 3, 2 or 1 of them.
    [Node(28, 7)], [Node(8, 3)], [Node(8, 2)], [Node(64, 56)], [Node(96, 24)],
    [Node(32, 0), Node(28, 14)], [Node(28, 7), Node(16, 2)], [Node(16, 3), Node(64, 8)],
]  # fmt: skip


@pytest.mark.parametrize("share", [1.0, 0.5, 1 / 3, 0.25, 1 / 22])
@pytest.mark.parametrize("nodes", CLUSTERS)
def test_every_gpu_is_used_and_no_share_is_above_a_whole(nodes: list[Node], share: float):
    slots = share_out_nodes(nodes, gpus_per_trial=share)
    assert share - 1e-9 <= slots.gpus <= 1.0
    assert slots.n_slots == n_slots(nodes, slots)
    for node in nodes:
        on_node = n_slots([node], slots)
        assert on_node * slots.cpus <= node.cores
        # Ray fills one GPU before the next
        assert ceil(on_node * slots.gpus - 1e-9) == node.gpus


@pytest.mark.parametrize("share", [0.5, 0.25, 1 / 22])
@pytest.mark.parametrize(("cores", "gpus"), [(32, 8), (32, 4), (8, 8), (6, 4), (64, 1)])
def test_one_machine_uses_all_its_gpus(cores: int, gpus: int, share: float):
    assert share_out(cores, gpus, gpus_per_trial=share).total_gpus() == gpus


def test_fewer_trials_than_fit_lie_on_gpus_of_their_own():
    assert share_out(32, 4, max_concurrent=4, gpus_per_trial=0.25).gpus == 1.0
    assert share_out_nodes([Node(32, 4)], 4, None, 0.25).gpus == 1.0


def test_more_than_one_gpu_a_trial_is_refused():
    with pytest.raises(UserError, match="computes on one GPU"):
        share_out(32, 4, gpus_per_trial=2.0)
