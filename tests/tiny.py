"""A tiny long-tailed image problem on tensors, for tests of the two stages."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from lmd_bench.contract.tiny import COUNTS, image_set, sets
from lmd_bench.core import plugins
from lmd_bench.core.schema import no_report
from lmd_bench.methods.best_epoch import KeptState
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.model import Model, build_model, predict
from lmd_bench.methods.representation._base import Representation
from lmd_bench.training.loop import Fitted

__all__ = ["COUNTS", "image_set", "method", "model", "sets", "stage1", "trained"]


def model(
    seed: int = 0,
    make_head: Callable[[int, int], nn.Module] = nn.Linear,
    make_encoder: Callable[[nn.Module], nn.Module] = lambda encoder: encoder,
    training: TrainingConfig | None = None,
    image_size: int | None = None,
) -> Model:
    """Return a fresh model for three classes, on a ResNet-18 unless told otherwise."""
    return build_model(
        training or TrainingConfig(),
        len(COUNTS),
        seed=seed,
        image_size=image_size,
        make_encoder=make_encoder,
        make_head=make_head,
    )


def trained(best_epoch: int = 1) -> tuple[Model, Fitted]:
    """Return a model as two epochs of training leave it, its own head best after `best_epoch`."""
    own, last = model(), KeptState()
    last.offer(2, 0.5, model(seed=1) if best_epoch != 2 else own)
    return own, Fitted((), best_epoch, last)


def method(
    name: str, counts: torch.Tensor, n_steps: int, seed: int = 0, config: object = None
) -> Representation:
    """Return a stage-1 method, at its defaults unless told otherwise, with the model it wants."""
    plugin = plugins.plugin_class("representation", name)
    config = config or plugins.load("representation", name).Config()
    network = model(
        make_head=partial(plugin.make_head, config),
        make_encoder=partial(plugin.make_encoder, config),
    )
    return plugin(config, network, counts, n_steps, seed)


def stage1(
    seed: int = 0, on_epoch=no_report, training: TrainingConfig | None = None, size: int = 16
) -> Stage1:
    """Return an untrained encoder with its head and features."""
    both = sets(size)
    network = model(training=training, image_size=size if training else None)
    network.eval()
    return Stage1(
        network,
        both,
        lambda: (predict(network, both[0])[0], predict(network, both[1])[0]),
        seed=seed,
        on_epoch=on_epoch,
    )
