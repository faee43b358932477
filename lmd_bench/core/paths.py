"""Where search spaces, raw data, caches and results lie."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lmd_bench.core.schema import DataSource


def search_spaces() -> Path:
    """Return the folder of search spaces: in the installed package, else beside it (a checkout)."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "search_spaces"
    return installed if installed.is_dir() else package.parent / "search_spaces"


@cache
def search_space_file(name: str) -> Mapping[str, Any]:
    """Return what a YAML file of that folder holds, such as `training.yaml`; it is read once.

    Raises:
        FileNotFoundError: there is none.
    """
    return yaml.safe_load((search_spaces() / name).read_text()) or {}


def data_root(dataset: str, given: Path | None = None) -> Path | None:
    """Return the raw data folder: the one given, else `$LMD_BENCH_DATA/<dataset>`, else None."""
    if given is not None:
        return given.expanduser().resolve()
    base = os.environ.get("LMD_BENCH_DATA")
    return Path(base).expanduser().resolve() / dataset if base else None


def located(dataset: str, source: DataSource) -> DataSource:
    """Return `source` with the folder of `data_root` filled in, all its paths absolute."""
    columns = source.columns
    if columns is not None and columns.images_csv is not None:
        columns = replace(columns, images_csv=columns.images_csv.expanduser().resolve())
    split_dir = source.split_dir.expanduser().resolve() if source.split_dir else None
    root = data_root(dataset, source.root)
    return replace(source, root=root, split_dir=split_dir, columns=columns)


def cache_root() -> Path:
    """Return the folder of prepared arrays: `$LMD_BENCH_CACHE`, else the user's cache folder."""
    given = os.environ.get("LMD_BENCH_CACHE")
    if given:
        return Path(given).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lmd_bench"


def default_results() -> Path:
    """Return the default results folder, `results/runs` below the working directory."""
    return Path("results") / "runs"
