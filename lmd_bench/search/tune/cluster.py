"""The Ray cluster of a search: one of our own on loopback, or one to join."""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.machine import memory_bytes, n_cores, share_cores
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.tune.gpu_share import AUTO, find_share
from lmd_bench.search.tune.slots import Node, Slots, share_out, share_out_nodes
from lmd_bench.training.device import n_gpus

LOCAL = "local"  # the address that starts a cluster of our own
N_STARTS = 4  # Ray gives its node 30 s to come up, which a machine under load may not
LONGEST_TMPDIR = 35  # characters; Ray adds 70 for its session and a socket
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
# Folders; torchvision keeps weights in TORCH_HOME, timm in HF_HOME.
_FORWARDED = ("LMD_BENCH_CACHE", "LMD_BENCH_DATA", "LMD_BENCH_LOCAL", "TORCH_HOME", "HF_HOME")


def prepare_environment() -> None:
    """Set what Ray and its workers read when they begin; what a person has set stays."""
    share_cores()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Sockets lie below TMPDIR, and the system takes no more than 107 characters of a path to one;
    # SLURM gives jobs long ones.
    temporary = os.environ.get("TMPDIR", "")
    unfit = len(temporary) > LONGEST_TMPDIR or temporary and not os.access(temporary, os.W_OK)
    if unfit and os.access("/tmp", os.W_OK):
        os.environ.setdefault("RAY_TMPDIR", "/tmp")


def bring_token() -> None:
    """Make a token for a cluster of our own where Ray could not keep one."""
    # Ray keeps its token below the home, which services and containers may not have.
    given = os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
    home = Path("~/.ray").expanduser()
    writable = os.access(home if home.is_dir() else home.parent, os.W_OK)
    if not given and not writable and os.environ.get("RAY_AUTH_MODE", "token") == "token":
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


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
        return _share_out(request, None)
    here = Slots(1, n_cores(), float(n_gpus())) if local else None
    with _connected(_options(request.address, here)):
        nodes = ray_nodes()
        wanted = request.gpus_per_trial == AUTO and any(node.gpus for node in nodes)
        measured = find_share(request) if wanted else None
        if local:
            return _share_out(request, measured)
        asked = request.gpus_per_trial
        share = measured if isinstance(asked, str) else asked
        return share_out_nodes(nodes, request.max_concurrent, request.cpus_per_trial, share)


def ray_nodes() -> list[Node]:
    """Return what each living node of the connected cluster offers."""
    import ray

    offered = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [
        Node(int(have.get("CPU", 0)), int(have.get("GPU", 0)), int(have.get("memory", 0)) or None)
        for have in offered
    ]


def _share_out(request: SearchRequest, measured: float | None) -> Slots:
    asked = request.gpus_per_trial
    share = measured if isinstance(asked, str) else asked
    return share_out(
        n_cores(),
        n_gpus(),
        request.max_concurrent,
        request.cpus_per_trial,
        share,
        memory_bytes(),
    )


@contextmanager
def _connected(options: dict[str, Any]) -> Iterator[None]:
    prepare_environment()
    if options["address"] == LOCAL:
        bring_token()
    import ray

    try:
        _init(options)
    except ConnectionError as error:
        raise UserError(
            f"No Ray cluster answers at {options['address']} ({error}); start one with `ray start "
            "--head`, set RAY_AUTH_MODE=token on both sides, or leave out --address."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        ray.shutdown()
        raise UserError(_remedy(options["address"], error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _remedy(address: str, error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    if "ersion mismatch" in text:
        return (
            f"The Ray cluster at {address} runs other versions ({text}); install the same Python "
            "and Ray on all machines, and lmd-bench with them."
        )
    return (
        f"Ray cannot start or join a cluster at {address} ({type(error).__name__}: {text}); Ray "
        "needs a short folder for temporary files (RAY_TMPDIR=/tmp), and a home that can be "
        "written to or RAY_AUTH_TOKEN_PATH. lmd-bench doctor tries it."
    )


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
        # A relative path would be another folder in each worker.
        variables = {
            name: str(Path(os.environ[name]).expanduser().resolve())
            for name in _FORWARDED
            if os.environ.get(name)
        }
        return options | {"runtime_env": {"env_vars": variables}}
    return options | {
        "num_cpus": slots.total_cpus(),
        "num_gpus": slots.total_gpus(),
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }
