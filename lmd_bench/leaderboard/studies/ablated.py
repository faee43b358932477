"""Studies that are cells of an ablation: tables of methods leave them out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmd_bench.store.store import FOLDER


def ablated_studies(root: Path) -> frozenset[str]:
    """Return the ids of the studies that the ablations of a results folder have as their cells.

    A cell is a method taken apart, not a competitor, and has no budget of its own. A file that
    cannot be read names none; `lmd-bench ablate --table` says what is wrong with it.
    """
    found: set[str] = set()
    for path in sorted((root / FOLDER).glob("[!.]*.json")):
        try:
            tasks: list[Mapping[str, Any]] = json.loads(path.read_text())["tasks"]
            found.update(str(study) for task in tasks for study in task["studies"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return frozenset(found)


def left_out(cells: frozenset[str], studies: frozenset[str]) -> tuple[str, ...]:
    """Return the note on the cells among some studies; none for none."""
    n = len(cells & studies)
    cell = "cell" if n == 1 else "cells"
    return (f"left out: {n} {cell} of ablations; lmd-bench ablate --table shows them",) if n else ()
