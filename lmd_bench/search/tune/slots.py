"""Slots: how many trials a machine or cluster runs at once, and what each of them holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from lmd_bench.core.errors import UserError

WORKER_BYTES = 3 * 2**29  # 1.5 GiB of host memory; 0.7 before the first epoch, up to 2 were seen


@dataclass(frozen=True)
class Slots:
    """How many trials run at once, and what each of them holds."""

    n_slots: int
    cpus: int  # cores of each trial, also its number of threads
    gpus: float  # share of one GPU, at most 1

    def total_cpus(self) -> int:
        """Return the cores that all slots hold together."""
        return self.n_slots * self.cpus

    def total_gpus(self) -> int:
        """Return the GPUs that all slots hold together, whole ones."""
        return ceil(self.n_slots * self.gpus - 1e-9)


@dataclass(frozen=True)
class Node:
    """What one machine has."""

    cores: int
    gpus: int
    memory: int | None = None  # bytes of the host; None: not known


def share_out(
    cores: int,
    gpus: int,
    max_concurrent: int | None = None,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    memory: int | None = None,
) -> Slots:
    """Return the slots of this machine; what is not given follows from what it has.

    Without a GPU a trial takes one core and every core runs one; with GPUs a trial takes one GPU
    and an equal part of the cores. More trials than cores run where they are asked for.

    Raises:
        UserError: a number below what is possible, or a GPU share that the machine does not have.
    """
    gpu_share = float(gpus_per_trial if gpus_per_trial is not None else min(gpus, 1))
    _check(max_concurrent, cpus_per_trial, gpu_share, gpus, "this machine has")
    by_gpu = _trials_on(gpus, gpu_share) if gpu_share > 0 else None
    # The scarcer of cores, GPUs and memory says how many run; a person may ask for fewer, and for
    # more trials than cores, but never for more than the GPUs hold.
    if max_concurrent is None:
        limits = [cores // (cpus_per_trial or 1), *_by_memory(memory)]
        limits += [] if by_gpu is None else [by_gpu]
        max_concurrent = max(1, min(limits))
    elif by_gpu is not None:
        max_concurrent = min(max_concurrent, by_gpu)
    if by_gpu is not None and gpu_share < 1:
        # Ray fills one GPU before the next, so the share says how many lie on each.
        on_each = max(1, max_concurrent // gpus)
        max_concurrent = min(max_concurrent, on_each * gpus)
        gpu_share = 1.0 / on_each
    # Cores that no other trial can use go to those that run: they feed the GPU.
    cpus = cpus_per_trial or (1 if by_gpu is None else max(1, cores // max_concurrent))
    return Slots(max_concurrent, cpus, gpu_share)


def share_out_nodes(
    nodes: Sequence[Node],
    max_concurrent: int | None = None,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
) -> Slots:
    """Return the slots of a cluster, whose every trial lies on one node.

    All trials hold the same: the cores that the node with the fewest for a GPU can give to each.

    Raises:
        UserError: a number below what is possible, or a trial that no node can hold.
    """
    most_gpus = max((node.gpus for node in nodes), default=0)
    gpu_share = float(gpus_per_trial if gpus_per_trial is not None else min(most_gpus, 1))
    _check(max_concurrent, cpus_per_trial, gpu_share, most_gpus, "no node has more than")
    cpus = cpus_per_trial or 1
    if 0 < gpu_share < 1:
        # As many on each GPU as on those of the node with the least room, so that all are used.
        bare = Slots(1, cpus, gpu_share)
        with_gpus = [node for node in nodes if node.gpus]
        room = [_on_node(node, bare) // node.gpus for node in with_gpus]
        if max_concurrent is not None:
            room.append(max_concurrent // sum(node.gpus for node in with_gpus))
        gpu_share = 1.0 / max(1, min(room))
    if cpus_per_trial is None and gpu_share > 0:
        # A head without GPUs has no say in it.
        usable = [(node.cores, _trials_on(node.gpus, gpu_share)) for node in nodes]
        cpus = max(1, min((cores // n for cores, n in usable if n), default=1))
    slots = Slots(1, cpus, gpu_share)
    total = n_slots(nodes, slots)
    if total == 0:
        offered = ", ".join(f"{node.cores} cores and {node.gpus} GPUs" for node in nodes)
        raise UserError(
            f"No node of this cluster can hold a trial of {cpus} cores and {gpu_share:g} GPUs; "
            f"they have {offered or 'nothing'}. Give less with --cpus-per-trial and "
            "--gpus-per-trial, or add a node."
        )
    return Slots(min(total, max_concurrent or total), cpus, gpu_share)


def n_slots(nodes: Sequence[Node], slots: Slots) -> int:
    """Return how many trials of this size the nodes hold at once."""
    return sum(_on_node(node, slots) for node in nodes)


def _on_node(node: Node, slots: Slots) -> int:
    limits = [node.cores // slots.cpus, *_by_memory(node.memory)]
    limits += [_trials_on(node.gpus, slots.gpus)] if slots.gpus else []
    return min(limits)


def _by_memory(memory: int | None) -> list[int]:
    return [] if memory is None else [max(1, memory // WORKER_BYTES)]


def _check(
    max_concurrent: int | None,
    cpus_per_trial: int | None,
    gpu_share: float,
    gpus: int,
    which: str,
) -> None:
    for option, value in (
        ("--max-concurrent", max_concurrent),
        ("--cpus-per-trial", cpus_per_trial),
    ):
        if value is not None and value < 1:
            raise UserError(f"{option} {value} is not possible; give 1 or more.")
    if not 0 <= gpu_share <= gpus:
        raise UserError(
            f"--gpus-per-trial {gpu_share:g} is not possible; "
            f"{which} {gpus} GPU(s), so give a number from 0 to {gpus}."
        )
    if gpu_share > 1:
        raise UserError(
            f"--gpus-per-trial {gpu_share:g} is not possible; a trial computes on one GPU, so "
            "give 1, or a share of one such as 0.5."
        )


def _trials_on(gpus: int, share: float) -> int:
    """Return how many trials fit: a share lies on one GPU, it is never put together from two."""
    return gpus * int(1 / share + 1e-9)
