"""Three separable classes of features, long-tailed, without an encoder."""

import torch

from lmd_bench.core.schema import no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.methods.calibration._base import Stage1
from tests import tiny

COUNTS = (60, 20, 3)
WIDTH = 512  # of the encoder that the heads belong to


def drawn(counts: tuple[int, ...], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return post-ReLU features around three means, and their labels."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    means = torch.zeros(3, WIDTH)
    for label in range(3):
        means[label, label * 4 : label * 4 + 4] = 2.0
    noise = 0.5 * torch.randn(len(labels), WIDTH, generator=rng)
    return (means[labels] + noise).clamp_min(0.0), labels


def stage1(on_epoch=no_report, make_head=torch.nn.Linear) -> Stage1:
    """Return a stage 1 with these features and an untrained head."""
    (train, labels), (val, val_labels) = drawn(COUNTS, 0), drawn((20, 20, 20), 1)
    pixels = torch.zeros(len(labels), 8, 8, 3, dtype=torch.uint8)
    val_pixels = torch.zeros(60, 8, 8, 3, dtype=torch.uint8)
    sets = ImageSet(pixels, labels), ImageSet(val_pixels, val_labels)
    return Stage1(
        tiny.model(make_head=make_head), sets, lambda: (train, val), seed=0, on_epoch=on_epoch
    )


def val_accuracy(result, given: Stage1) -> float:
    """Return the accuracy of the final head on val, which is balanced."""
    with torch.no_grad():
        logits = result.model.head(given.features[1])
    return float((logits.argmax(dim=1) == given.val_set.labels).float().mean())
