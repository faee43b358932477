"""The Ray cluster of a search: one of our own on loopback, or one to join."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lmd_bench.hardware import Slots

OBJECT_STORE_BYTES = 100 * 2**20  # jobs and rows are small; images never pass through it

_ENVIRONMENT = {
    # Without it Ray on Linux replaces 127.0.0.1 by the network card's address and listens there.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay what they are
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # five files per trial that nobody reads
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours ends the search at once; the store is the state
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1e9",
}
_FORWARDED = ("LMD_BENCH_CACHE", "LMD_BENCH_DATA")


def prepare_environment() -> None:
    """Set what Ray reads when it is imported; what a person has set themselves stays."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def cluster(address: str, slots: Slots) -> Iterator[None]:
    """Hold a Ray cluster with room for `slots`, and let it go at the end."""
    prepare_environment()
    import ray

    ray.init(**_options(address, slots))
    try:
        yield
    finally:
        ray.shutdown()


def _options(address: str, slots: Slots) -> dict[str, Any]:
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    variables = dict.fromkeys(threads, str(slots.cpus))  # read when a worker imports torch
    variables |= {name: os.environ[name] for name in _FORWARDED if name in os.environ}
    options = {
        "address": address,
        "runtime_env": {"env_vars": variables},
        "log_to_driver": False,
        "logging_level": "ERROR",
    }
    if address != "local":
        return options
    return options | {
        "num_cpus": slots.total_cpus(),
        "num_gpus": slots.total_gpus(),
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }
