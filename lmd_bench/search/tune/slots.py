"""Slots: how many trials a machine or cluster runs at once, and what each of them holds."""

from dataclasses import dataclass
from math import ceil

from lmd_bench.core.errors import UserError


@dataclass(frozen=True)
class Slots:
    """How many trials run at once, and what each of them holds."""

    n_slots: int
    cpus: int  # cores of each trial, also its number of threads
    gpus: float  # share of one GPU, or a number of GPUs

    def total_cpus(self) -> int:
        """Return the cores that all slots hold together."""
        return self.n_slots * self.cpus

    def total_gpus(self) -> int:
        """Return the GPUs that all slots hold together, whole ones."""
        return ceil(self.n_slots * self.gpus - 1e-9)


def share_out(
    cores: int,
    gpus: int,
    max_concurrent: int | None = None,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
) -> Slots:
    """Return the slots of a machine; what is not given follows from what the machine has.

    Without a GPU a trial takes one core and every core runs one; with GPUs a trial takes one GPU
    and an equal part of the cores.

    Raises:
        UserError: a number below what is possible, or a GPU share that the machine does not have.
    """
    gpu_share = float(gpus_per_trial if gpus_per_trial is not None else min(gpus, 1))
    _check(max_concurrent, cpus_per_trial, gpu_share, gpus)
    by_gpu = _trials_on(gpus, gpu_share) if gpu_share > 0 else None
    # The scarcer of the two, cores or GPUs, says how many run; a person may ask for fewer, and for
    # more trials than cores, but never for more than the GPUs hold.
    if max_concurrent is None:
        by_core = max(1, cores // (cpus_per_trial or 1))
        max_concurrent = by_core if by_gpu is None else max(1, min(by_gpu, by_core))
    elif by_gpu is not None:
        max_concurrent = min(max_concurrent, by_gpu)
    # Cores that no other trial can use go to those that run: they feed the GPU.
    cpus = cpus_per_trial or (1 if by_gpu is None else max(1, cores // max_concurrent))
    return Slots(max_concurrent, cpus, gpu_share)


def _check(
    max_concurrent: int | None, cpus_per_trial: int | None, gpu_share: float, gpus: int
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
            f"this machine has {gpus} GPU(s), so give a number from 0 to {gpus}."
        )
    if gpu_share > 1 and gpu_share != int(gpu_share):
        raise UserError(
            f"--gpus-per-trial {gpu_share:g} is not possible; give a share of one GPU, such as "
            "0.5, or a whole number of GPUs."
        )


def _trials_on(gpus: int, share: float) -> int:
    """Return how many trials fit: a share lies on one GPU, it is never put together from two."""
    if share >= 1:
        return gpus // int(share)
    return gpus * int(1 / share + 1e-9)
