"""`lmd-bench doctor`: whether trials would run here, or on every node of a Ray cluster."""

import os
import platform
import shutil
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_file
from lmd_bench.core.locks import Timeout, locked
from lmd_bench.search.tune.cluster import LOCAL, cluster, joined
from lmd_bench.search.tune.quiet import quiet
from lmd_bench.search.tune.slots import Slots
from lmd_bench.search.watching.traces import read_searches

PACKAGES = ("lmd-bench", "ray", "torch", "torchvision", "optuna", "pyarrow")
LEAST_FREE = 2 * 2**30  # bytes; a ResNet-50 encoder takes 100 MB
TOKEN = "token"  # the mode of Ray's authentication in which a secret is asked for
MOST_CLOCK = 5.0  # seconds between the clocks of two machines


@dataclass(frozen=True)
class Health:
    """What was found on one machine."""

    host: str
    python: str
    versions: dict[str, str]
    gpus: tuple[str, ...]
    n_cores: int
    clock: float  # Unix time when it was asked
    free_bytes: int | None  # where the results lie; None: the folder cannot be used
    trouble: str  # why the results folder cannot be used; "" if it can
    sees: bool  # whether the driver's probe file is there
    auth_mode: str  # RAY_AUTH_MODE of the process that was asked
    gpu_trouble: str = ""  # why a GPU that is listed cannot be used; "" where all can
    holds: str = ""  # why a lock that the driver holds is no lock here; "" where it is


@dataclass(frozen=True)
class Machine:
    """One machine and what is amiss with it."""

    name: str  # "this machine", or "node" with its address
    health: Health
    troubles: tuple[str, ...]  # sentences without their stop


def look_at(results: Path, address: str) -> list[Machine]:
    """Return what was found on this machine and on each node of a Ray cluster.

    Raises:
        UserError: no Ray cluster answers at the address.
    """
    here = examine(results)
    # What a search does first: Ray on this machine, which a home, a folder for temporary files or
    # a limit may hinder.
    started = _start() if address == LOCAL and not here.trouble else ()
    bad = tuple(f"in an earlier search {text}" for text in out_of_use(results))
    machines = [Machine("this machine", here, (*complaints(here, here), *started, *bad))]
    if address == LOCAL or here.trouble:
        return machines
    probe = new_probe(results)
    lock = results / probe.replace(".probe", ".lock")
    try:
        with locked(lock, timeout=0):
            return [*machines, *_nodes(here, results, address, probe)]
    finally:
        (results / probe).unlink()
        lock.unlink(missing_ok=True)


def _start() -> tuple[str, ...]:
    try:
        with quiet(Path(os.devnull), verbose=False), cluster(LOCAL, Slots(1, 1, 0.0)):
            return ()
    except UserError as error:
        return (str(error).removesuffix("."),)


def out_of_use(results: Path) -> tuple[str, ...]:
    """Return what the latest search of a folder put out of use, each with the cause."""
    searches = read_searches(results)
    return searches[-1].out_of_use if searches else ()


def examine(results: Path, probe: str = "") -> Health:
    """Return what this machine offers.

    Args:
        results: the folder that trials will write to.
        probe: name of a file that the driver has put there, which shared storage shows.
    """
    # torch takes 3 s: not for those who only read results
    from lmd_bench.training.device import usable_gpus

    trouble = _trouble(results)
    gpus, gpu_trouble = usable_gpus()
    return Health(
        host=socket.gethostname(),
        python=platform.python_version(),
        versions={name: version(name) for name in PACKAGES},
        gpus=gpus,
        gpu_trouble=gpu_trouble,
        n_cores=os.cpu_count() or 1,
        clock=time.time(),
        free_bytes=None if trouble else shutil.disk_usage(results).free,
        trouble=trouble,
        sees=not probe or (results / probe).is_file(),
        holds=_holds(results, probe),
        auth_mode=os.environ.get("RAY_AUTH_MODE", "").lower(),
    )


def complaints(here: Health, there: Health, seconds: float = 0.0) -> list[str]:
    """Return a sentence for each thing that would spoil trials on a machine.

    Args:
        here: the driver's machine.
        there: the machine that is judged; may be the same.
        seconds: that the answer took, by which the clocks may differ more.
    """
    troubles: list[str] = []
    if there.trouble:
        troubles.append(f"the results folder cannot be used ({there.trouble})")
    elif not there.sees:
        troubles.append("it does not see the driver's results folder; name one on shared storage")
    if there.gpu_trouble:
        troubles.append(there.gpu_trouble.removesuffix("."))
    if there.holds:
        troubles.append(there.holds)
    if there.free_bytes is not None and there.free_bytes < LEAST_FREE:
        troubles.append(f"only {there.free_bytes / 2**30:.1f} GiB are free for results")
    for name, expected in here.versions.items():
        if there.versions.get(name) != expected:
            troubles.append(f"{name} is {there.versions.get(name)}, the driver has {expected}")
    if there.python.split(".")[:2] != here.python.split(".")[:2]:
        troubles.append(f"Python is {there.python}, the driver has {here.python}")
    gap = abs(there.clock - here.clock)
    if gap > MOST_CLOCK + seconds:
        troubles.append(f"its clock differs by {gap:.0f} s from the driver's")
    return troubles


def unguarded(there: Health) -> list[str]:
    """Return a sentence if a node of a cluster takes commands without Ray's token."""
    if there.auth_mode == TOKEN:
        return []
    return [
        "its Ray takes commands from anybody who reaches its ports; start it with "
        "RAY_AUTH_MODE=token on all nodes"
    ]


def new_probe(results: Path) -> str:
    """Put a file into the results folder and return its name; the caller removes it."""
    name = f".probe-{uuid.uuid4().hex}"
    (results / name).touch()
    return name


def _nodes(here: Health, results: Path, address: str, probe: str) -> list[Machine]:
    with joined(address):
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ask: Any = ray.remote(num_cpus=0, max_retries=0)(examine)
        machines: list[Machine] = []
        for node in ray.nodes():
            if not node["Alive"]:
                continue
            pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked = time.time()
            health: Health = ray.get(
                ask.options(scheduling_strategy=pinned).remote(results, probe), timeout=120
            )
            seconds = time.time() - asked
            # The clocks are compared at the moment when the node was asked.
            then = replace(here, clock=asked)
            troubles = (*complaints(then, health, seconds), *unguarded(health))
            machines.append(Machine(f"node {node['NodeManagerAddress']}", health, troubles))
        return machines


def _holds(results: Path, probe: str) -> str:
    if not probe or not (results / probe).is_file():
        return ""
    try:
        with locked(results / probe.replace(".probe", ".lock"), timeout=0):
            return (
                "a file that the driver has locked can be locked here too, so encoders may be "
                "trained twice; mount the results folder with locks (Lustre: -o flock)"
            )
    except Timeout:
        return ""
    except UserError as error:
        return str(error).removesuffix(".")


def _trouble(folder: Path) -> str:
    """Return why a file cannot be written, renamed and read in a folder; "" if it can."""
    final = folder / f".doctor-{uuid.uuid4().hex}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(final) as temporary:
            temporary.write_text("written")
        return "" if final.read_text() == "written" else "what was written is not what is read"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        with suppress(OSError):
            final.unlink()
