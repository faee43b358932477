"""Trains on a folder of your own images, one sub-folder a class, and asks the model about some.

Run it with `python examples/own_folder.py [FOLDER]`. It first draws a small folder of images, so
that it runs as it stands; with your own images, leave `draw` out.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import lmd_bench as lb

IMAGES_OF_CLASS = {"round": 120, "square": 60, "cross": 40}


def draw(folder: Path) -> None:
    """Write noisy grey images of three shapes, the last one rare."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    shapes = {
        "round": x**2 + y**2 < 0.4,
        "square": np.maximum(abs(x), abs(y)) < 0.55,
        "cross": np.minimum(abs(x), abs(y)) < 0.2,
    }
    for name, n_images in IMAGES_OF_CLASS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(n_images):
            grey = 120 + 60 * shapes[name] + rng.normal(0, 40, shapes[name].shape)
            pixels = np.clip(grey, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).convert("RGB").save(folder / name / f"{number:03}.png")


def main(folder: Path) -> None:
    """Draw the images, cut a task out of them, and train two methods on it."""
    images = folder / "images"
    draw(images)

    task = lb.load_task("folder", data_root=images, imbalance_factor=5, image_size=16)
    print(f"training images of each class: {task.class_counts}")

    for method in ("cross_entropy", "cross_entropy+logistic_regression"):
        row = lb.train_trial(
            "folder",
            method,
            data_root=images,
            imbalance_factor=5,
            image_size=16,
            epochs=2,
            results=folder / "results",
        )
        print(f"{method}: balanced accuracy on val {row['val_balanced_accuracy']:.1%}")

    model = lb.open_results(folder / "results").model(row["key"])
    print(model.predict(images / "cross", coverage=0.8).frame[["id", "class", "set"]].head())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
