"""Fair, resumable benchmarking of long-tailed medical image classification.

What `lmd-bench` does on the command line, from Python. A name is imported when it is first used, so
`import lmd_bench` is quick and needs neither torch nor Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from lmd_bench.core.errors import UserError
    from lmd_bench.core.outside import add as add_plugins
    from lmd_bench.data.build import load_task, prepare_images
    from lmd_bench.data.listing import list_datasets
    from lmd_bench.experiments.results import Results, open_results
    from lmd_bench.leaderboard.board import Leaderboard
    from lmd_bench.methods.catalogue import list_methods
    from lmd_bench.search.from_python import run_search, run_search_file
    from lmd_bench.training.single import train_trial

__all__ = [
    "Leaderboard",
    "Results",
    "UserError",
    "__version__",
    "add_plugins",
    "list_datasets",
    "list_methods",
    "load_task",
    "open_results",
    "prepare_images",
    "run_search",
    "run_search_file",
    "train_trial",
]

# public name -> the module that holds it
_HOMES = {
    "Leaderboard": "leaderboard.board",
    "Results": "experiments.results",
    "UserError": "core.errors",
    "add_plugins": "core.outside",
    "list_datasets": "data.listing",
    "list_methods": "methods.catalogue",
    "load_task": "data.build",
    "open_results": "experiments.results",
    "prepare_images": "data.build",
    "run_search": "search.from_python",
    "run_search_file": "search.from_python",
    "train_trial": "training.single",
}
# public name -> what it is called there, where that differs
_NAMES = {"add_plugins": "add"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from lmd_bench.store.provenance import package_version

        return package_version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), _NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
