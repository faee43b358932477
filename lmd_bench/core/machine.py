"""What this machine has, and how many trials at once share it."""

import os
from math import ceil
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": 2 cores; "max 100000": all


def n_cores() -> int:
    """Return the cores this process may use: its affinity, and a container's quota if smaller."""
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min(allowed, _quota() or allowed))


def _quota() -> int | None:
    if not _CGROUP_QUOTA.is_file():
        return None
    quota, period = _CGROUP_QUOTA.read_text().split()
    return None if quota == "max" else ceil(int(quota) / int(period))
