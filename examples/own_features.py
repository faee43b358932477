"""Trains on features (embeddings) of your own: a file of ids and vectors, no image.

Run it with `python examples/own_features.py [FOLDER]`. It first draws a small file, so that it runs
as it stands; with a file of your own, leave `draw` out.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import lmd_bench as lb

IMAGES_OF_CLASS = {"benign": 200, "suspect": 100, "malignant": 50}
WIDTH = 32


def draw(file: Path) -> None:
    """Write vectors around one mean a class, with an id, a class and a patient for each."""
    rng = np.random.default_rng(0)
    names = [name for name, n_images in IMAGES_OF_CLASS.items() for _ in range(n_images)]
    means = {name: rng.normal(size=WIDTH) for name in IMAGES_OF_CLASS}
    np.savez(
        file,
        ids=np.array([f"image{number:03}" for number in range(len(names))]),
        features=np.stack([means[name] + 3 * rng.normal(size=WIDTH) for name in names]),
        labels=np.array(names),
        groups=np.array([f"patient{number // 2}" for number in range(len(names))]),
    )


def main(folder: Path) -> None:
    """Draw the file, cut a task out of it, and train heads on it."""
    file = folder / "embeddings.npz"
    draw(file)

    task = lb.load_task("features", features=file, imbalance_factor=10)
    print(f"training images of each class: {task.class_counts}")

    for method in ("cross_entropy", "logistic_regression", "lda"):
        row = lb.train_trial(
            "features",
            method,
            features=file,
            imbalance_factor=10,
            results=folder / "results",
        )
        print(f"{method}: balanced accuracy on val {row['val_balanced_accuracy']:.1%}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
