"""`lmd-bench doctor`: whether trials would run here, or on every node of a Ray cluster."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmd_bench.search.tune.cluster import LOCAL, joined
from lmd_bench.search.tune.health import Health, complaints, examine, new_probe, unguarded


def run_doctor(results: Path, address: str) -> bool:
    """Print what was found on this machine and each node; return whether all is well.

    Raises:
        UserError: no Ray cluster answers at the address.
    """
    here = examine(results)
    found = [("this machine", here, complaints(here, here))]
    if address != LOCAL and not here.trouble:
        probe = new_probe(results)
        try:
            found += _nodes(here, results, address, probe)
        finally:
            (results / probe).unlink()
    _print(found)
    return not any(trouble for _, _, trouble in found)


def _nodes(
    here: Health, results: Path, address: str, probe: str
) -> list[tuple[str, Health, list[str]]]:
    with joined(address):
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ask: Any = ray.remote(num_cpus=0, max_retries=0)(examine)
        found: list[tuple[str, Health, list[str]]] = []
        for node in ray.nodes():
            name = f"node {node['NodeManagerAddress']}"
            if not node["Alive"]:
                continue
            pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked = time.time()
            there: Health = ray.get(
                ask.options(scheduling_strategy=pinned).remote(results, probe), timeout=120
            )
            took = time.time() - asked
            then = replace(here, clock=asked)
            trouble = complaints(then, there, seconds=took) + unguarded(there)
            found.append((name, there, trouble))
        return found


def _print(found: list[tuple[str, Health, list[str]]]) -> None:
    console = Console(highlight=False)
    table = Table("", "host", "cores", "GPUs", "Python", "torch", "Ray", "free", box=SIMPLE_HEAD)
    for name, health, _ in found:
        free = "" if health.free_bytes is None else f"{health.free_bytes / 2**30:.0f} GiB"
        table.add_row(
            name,
            health.host,
            str(health.n_cores),
            ", ".join(health.gpus) or "none",
            health.python,
            health.versions["torch"],
            health.versions["ray"],
            free,
        )
    console.print(table)
    modes = {health.auth_mode or "none" for _, health, _ in found[1:]}
    mode = ", ".join(sorted(modes)) or "by token, in the cluster that a search starts here"
    console.print(f"Ray's authentication: {mode}")
    troubles = [f"{name}: {sentence}." for name, _, all_of in found for sentence in all_of]
    console.print("\n".join(troubles) if troubles else "All is well.")
