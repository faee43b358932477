from pathlib import Path

import numpy as np
import pytest

from lmd_bench.store.store import open_store

LABELS = np.repeat(np.arange(4), 5)


def _images(logits: np.ndarray) -> list[tuple]:
    images = zip(LABELS.tolist(), logits.tolist(), strict=True)
    return [(str(i), "test", y, z) for i, (y, z) in enumerate(images)]


@pytest.fixture
def filled(tmp_path: Path, study) -> Path:
    """Two methods with two seeds each; a seed of `crt` names one class alone."""
    store = open_store(tmp_path, create=True)
    for name, strength in (("crt", 0.0), ("lmd", 2.0)):
        for number, row in enumerate(study(name, [0.3], {0: [0.5, 0.6]})):
            noise = np.random.default_rng(number).normal(size=(20, 4))
            logits = noise + strength * np.eye(4)[LABELS]
            if name == "crt" and number == 2:
                logits = np.tile([1.0, 0.0, 0.0, 0.0], (20, 1))
            store.write(row, _images(logits) if row["phase"] == "confirm" else ())
    return tmp_path
