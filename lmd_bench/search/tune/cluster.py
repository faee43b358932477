"""The Ray cluster of a search: one of our own on loopback, or one to join."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.machine import n_cores
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.tune.gpu_share import AUTO, find_share
from lmd_bench.search.tune.slots import Slots, share_out
from lmd_bench.training.device import n_gpus

LOCAL = "local"  # the address that starts a cluster of our own
N_STARTS = 4  # Ray gives its node 30 s to come up, which a machine under load may not
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
def cluster(address: str, slots: Slots, verbose: bool = False) -> Iterator[None]:
    """Hold a Ray cluster with room for `slots`, and let it go at the end."""
    with _connected(_options(address, slots, verbose)):
        yield


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Hold a connection to a running Ray cluster.

    Raises:
        UserError: none answers there.
    """
    with _connected(_options(address, None)):
        yield


def find_slots(request: SearchRequest) -> Slots:
    """Return the slots that a request gets: of this machine, or of the cluster it joins.

    Raises:
        UserError: a number of slots or a share of a GPU that cannot be had.
    """
    local = request.address == LOCAL
    # Ray is started here only where it has to be asked: for another machine's resources, or for
    # what a trial takes of a GPU.
    if local and (request.gpus_per_trial != AUTO or n_gpus() == 0):
        return _share_out(request, n_cores(), n_gpus(), None)
    here = Slots(1, n_cores(), float(n_gpus())) if local else None
    with _connected(_options(request.address, here)):
        import ray

        offered = ray.cluster_resources()
        cores, gpus = int(offered.get("CPU", 1)), int(offered.get("GPU", 0))
        wanted = request.gpus_per_trial == AUTO and gpus > 0
        return _share_out(request, cores, gpus, find_share(request) if wanted else None)


def _share_out(request: SearchRequest, cores: int, gpus: int, measured: float | None) -> Slots:
    asked = request.gpus_per_trial
    share = measured if isinstance(asked, str) else asked
    return share_out(cores, gpus, request.max_concurrent, request.cpus_per_trial, share)


@contextmanager
def _connected(options: dict[str, Any]) -> Iterator[None]:
    prepare_environment()
    import ray

    try:
        _init(options)
    except ConnectionError as error:
        raise UserError(
            f"No Ray cluster answers at {options['address']} ({error}); start one with `ray start "
            "--head`, set RAY_AUTH_MODE=token on both sides, or leave out --address."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _init(options: dict[str, Any]) -> None:
    import ray

    # A node that comes up too late is worth another try; a cluster that does not answer is not.
    for attempt in range(1, N_STARTS + 1):
        try:
            ray.init(**options)
            return
        except Exception as error:
            if type(error) is not Exception:  # Ray has no type for a node that does not come up
                raise
            ray.shutdown()
            if attempt == N_STARTS:
                raise UserError(
                    f"Ray did not start here in {N_STARTS} attempts ({' '.join(str(error).split())}"
                    "); look at this machine's load and memory, then the same command goes on."
                ) from error


def _options(address: str, slots: Slots | None, verbose: bool = False) -> dict[str, Any]:
    # A cluster that is joined has its resources already; a local one gets just what the slots hold,
    # on loopback, so that nobody on the network reaches it.
    level = logging.INFO if verbose else logging.ERROR
    options = {"address": address, "log_to_driver": verbose, "logging_level": level}
    if address != LOCAL or slots is None:
        variables = {name: os.environ[name] for name in _FORWARDED if name in os.environ}
        return options | {"runtime_env": {"env_vars": variables}}
    return options | {
        "num_cpus": slots.total_cpus(),
        "num_gpus": slots.total_gpus(),
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }
