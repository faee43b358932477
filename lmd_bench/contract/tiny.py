"""A tiny long-tailed problem of images on tensors, on which both stages take seconds."""

import torch
from jaxtyping import Int64
from torch import Tensor

from lmd_bench.core.schema import NO_CALIBRATION, Scalar, TaskSpec, TrialSpec, no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.models.model import Model, predict
from lmd_bench.methods.pipeline import Pipeline, resolve
from lmd_bench.methods.representation._base import Representation
from lmd_bench.methods.settings import default_config

COUNTS = (24, 12, 3)  # many, medium, and a class with three images
SIZE = 16  # pixels
PLAIN = "cross_entropy"  # the stage 1 that calibrations stand on here
# The stem for large images: 16 times faster, and nothing here is about accuracy.
_SETTINGS: dict[str, Scalar] = {"training.stem": "imagenet"}


def image_set(counts: tuple[int, ...], seed: int, size: int = SIZE) -> ImageSet:
    """Return noisy images whose brightness tells the class."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    noise = torch.rand(len(labels), size, size, 3, generator=rng) * 80
    pixels = (noise + labels[:, None, None, None] * 60).to(torch.uint8)
    return ImageSet(pixels, labels)


def sets(size: int = SIZE) -> tuple[ImageSet, ImageSet]:
    """Return a long-tailed train set and a balanced val set."""
    return image_set(COUNTS, seed=0, size=size), image_set((4, 4, 4), seed=1, size=size)


def pipeline(representation: str) -> Pipeline:
    """Return both stages at their defaults; stage 2 is that which keeps the head."""
    method = resolve_method(f"{representation}+{NO_CALIBRATION}")
    return resolve(
        TrialSpec(
            task=TaskSpec("tiny", image_size=SIZE),
            task_fingerprint="",
            method=method.name,
            representation=representation,
            calibration=NO_CALIBRATION,
            config=default_config(method, _SETTINGS),
            seed=0,
            n_epochs=1,
        )
    )


def model(representation: str = PLAIN) -> Model:
    """Return the model that a stage 1 asks for, untrained."""
    return pipeline(representation).new_model(len(COUNTS), 0, torch.device("cpu"))


def method(
    name: str, counts: Int64[Tensor, " classes"], n_steps: int, seed: int = 0
) -> Representation:
    """Return a stage 1 at its defaults, with the model that it asks for."""
    stages = pipeline(name)
    network = stages.new_model(len(COUNTS), 0, torch.device("cpu"))
    return stages.stage1(network, counts, n_steps, seed)


def stage1() -> Stage1:
    """Return an untrained encoder with its head and features."""
    both = sets()
    network = model().eval()
    return Stage1(
        network,
        both,
        lambda: (predict(network, both[0])[0], predict(network, both[1])[0]),
        seed=0,
        on_epoch=no_report,
    )
