"""Which code and libraries made a row."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from lmd_bench.core.outside import outside
from lmd_bench.core.schema import canonical_json

LIBRARIES = ("torch", "torchvision", "optuna", "ray", "numpy", "pandas", "pyarrow")


def provenance() -> dict[str, str | None]:
    """Return the provenance columns of every row that this process writes.

    Plug-ins from outside stand among the libraries, as `plugin:name`, with what they hash to.
    """
    columns, libraries = _environment()
    used = {f"plugin:{plugin.name}": plugin.digest for plugin in outside()}
    return {**columns, "library_versions_json": canonical_json(libraries | used)}


@cache
def _environment() -> tuple[dict[str, str | None], dict[str, str]]:
    columns = {
        "package_version": package_version(),
        "git_commit": git_commit(Path(__file__).resolve().parents[1]),
        "python_version": platform.python_version(),
    }
    versions = {name: _version(name) for name in LIBRARIES}
    return columns, {name: version for name, version in versions.items() if version}


def package_version() -> str:
    """Return the version of lmd-bench; `unknown` where it runs without being installed."""
    return _version("lmd-bench") or "unknown"


def git_commit(package: Path) -> str | None:
    """Return the commit of the checkout that holds the folder `package` at its top.

    None where there is no such checkout: an installed package that happens to lie inside the
    checkout of another project is not described by that project's commit.

    Returns:
        40 hex digits, followed by `+dirty` where the package or its search spaces differ from the
        commit. New files count, because a new file is a new plug-in.
    """
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != package.parent:
        return None
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    shaping = (package.name, "search_spaces")
    changes = _git(package.parent, "status", "--porcelain", "--", *shaping)
    return commit if changes == "" else f"{commit}+dirty"


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no git on this machine, or a hung file system
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
