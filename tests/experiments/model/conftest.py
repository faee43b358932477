"""Confirmed runs on a folder of small pictures, whose models the tests use."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmd_bench.core.schema import DataSource, TrialContext, TrialRow, no_report
from lmd_bench.training.trial import execute_trial
from tests.experiments.model.runs import spec_of

N_IMAGES = {"common": 40, "seldom": 30, "scarce": 24}
Confirm = Callable[..., TrialRow]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of PNGs whose brightness tells the class."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for level, (name, n) in enumerate(N_IMAGES.items()):
        (root / name).mkdir()
        for number in range(n):
            noise = rng.integers(0, 120, (20, 24, 3)) + 60 * level
            Image.fromarray(noise.astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the results of all runs."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="session")
def confirmed(pictures: Path, results: Path) -> Confirm:
    """Return what runs the confirmation of a method, once, and gives its row."""
    rows: dict[str, TrialRow] = {}
    source = DataSource(root=pictures)

    def run(method: str, **settings) -> TrialRow:
        name = f"{method} {settings}"
        if name not in rows:
            short = {"icc.em_epochs": 1, "icc.estep_steps": 3} if "icc" in method else {}
            spec = spec_of(method, source, **short, **settings)
            context = TrialContext(results=results, source=source, device="cpu")
            rows[name] = execute_trial(spec, context, no_report)
            assert rows[name]["status"] == "ok", rows[name]["cause"]
        return rows[name]

    return run
