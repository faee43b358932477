"""What this machine has, and how much of it this process may use."""

import os
from math import ceil
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")  # lines such as "0::/user.slice" or "4:memory:/job_17"
_MEMORY = Path("/proc/meminfo")


def n_cores() -> int:
    """Return the cores this process may use: its affinity, and a container's quota if smaller."""
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min(allowed, *_quotas())) if _quotas() else max(1, allowed)


def share_cores() -> None:
    """Let threads that wait for each other sleep soon; to be called before torch is imported.

    GNU's OpenMP, with which Linux builds of torch come, spins for milliseconds where a thread
    waits. Where other work has one of the cores, the rest burn theirs meanwhile. A thousand turns
    (microseconds) cost an idle machine nothing; sleeping at once costs it up to a fifth
    (benchmarks/waiting_threads.py). What a person has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def memory_bytes() -> int | None:
    """Return the memory this process may use: the machine's, or a container's limit if smaller."""
    limits = [_number(path) for path in _files("memory", "memory.max", "memory.limit_in_bytes")]
    try:
        fields = dict(line.split(":") for line in _MEMORY.read_text().splitlines())
        limits.append(1024 * int(fields["MemTotal"].split()[0]))
    except (OSError, ValueError, KeyError):
        pass
    return min((limit for limit in limits if limit is not None), default=None)


def _quotas() -> list[int]:
    """Return the cores of each quota that holds for this process: a group may lie in another."""
    quotas: list[int] = []
    for path in _files("cpu", "cpu.max", "cpu.cfs_quota_us"):
        # Version 2 has both numbers in one file: "200000 100000" is 2 cores, "max 100000" all.
        words = _text(path).split()
        if path.name == "cpu.cfs_quota_us":
            words += _text(path.with_name("cpu.cfs_period_us")).split()
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
            quotas.append(max(1, ceil(int(words[0]) / int(words[1]))))
    return quotas


def _files(controller: str, version_2: str, version_1: str) -> list[Path]:
    """Return the files of a controller in this process's group and in those around it."""
    paths: list[Path] = []
    for line in _text(_MEMBERSHIP).splitlines() or ["0::/"]:
        number, names, group = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not names:
            paths += _upwards(_CGROUPS, group, version_2)
        elif controller in names.split(","):
            paths += _upwards(_CGROUPS / controller, group, version_1)
    # Inside of a container its own group may be mounted as the root, whatever its path is outside.
    return [path for path in dict.fromkeys(paths) if path.is_file()]


def _upwards(root: Path, group: str, name: str) -> list[Path]:
    inner = root / group.strip("/")
    folders = [inner, *inner.parents]
    return [folder / name for folder in folders[: folders.index(root) + 1]]


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    # Version 1 says "no limit" with a number near 2^63.
    return int(text) if text.isdigit() and int(text) < 2**60 else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
