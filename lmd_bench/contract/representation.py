"""What has to hold of every stage 1, on a long tail with a class of three images."""

import torch

from lmd_bench.contract import tiny
from lmd_bench.contract.expect import ContractError, expect
from lmd_bench.core import plugins
from lmd_bench.core.schema import no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.data.views import make_view
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.model import Model
from lmd_bench.methods.representation._base import Targets
from lmd_bench.training.loop import Fitted, train


def trained(
    name: str, train_set: ImageSet, counts: torch.Tensor, batch_size: int, n_epochs: int = 2
) -> tuple[Model, Fitted]:
    """Return what a few epochs make of the model that a stage 1 asks for."""
    method = tiny.method(name, counts, n_steps=8)
    config = TrainingConfig(batch_size=batch_size, lr=0.01)
    fitted = train(method, train_set, tiny.sets()[1], config, n_epochs, 0, no_report)
    return method.model, fitted


def moves_the_model(name: str) -> None:
    """A few steps keep the weights finite, and move them."""
    before = tiny.model(name).state_dict()
    train_set, _ = tiny.sets()
    model, fitted = trained(name, train_set, torch.bincount(train_set.labels), 8)
    expect(len(fitted.curve) == 2, "not every epoch was reported")
    after = model.state_dict()
    expect(all(torch.isfinite(v).all() for v in after.values()), "weights that are not finite")
    expect(any(not torch.equal(v, after[k]) for k, v in before.items()), "no weight has moved")


def repeats(name: str) -> None:
    """The same config and seed give the same weights to the last bit."""
    train_set, _ = tiny.sets()
    counts = torch.bincount(train_set.labels)
    first, again = (trained(name, train_set, counts, 8, 1)[0].state_dict() for _ in range(2))
    expect(
        all(torch.equal(value, again[key]) for key, value in first.items()),
        "two trainings with one seed differ; draw from self.rng, not from torch's own generator",
    )


def bears_a_long_tail(name: str) -> None:
    """A class of three images at imbalance factor 500 leaves loss and weights finite."""
    train_set = tiny.image_set((40, 12, 3), seed=0)
    model, fitted = trained(name, train_set, torch.tensor([1500, 150, 3]), 16)
    expect(all(point.loss < 1e4 for point in fitted.curve), "the loss runs away")
    finite = all(torch.isfinite(value).all() for value in model.state_dict().values())
    expect(finite, "weights that are not finite")


def runs_in_bfloat16(name: str) -> None:
    """The loss is finite and has a gradient where the encoder runs in bfloat16, as on a GPU."""
    train_set, _ = tiny.sets()
    method = tiny.method(name, torch.bincount(train_set.labels), n_steps=2)
    model = method.model.train()
    pixels, labels = train_set.pixels[:12], train_set.labels[:12]
    views = [make_view("weak", pixels, number) for number in range(len(method.views))]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method.loss(views, Targets(labels, second=Targets(labels)), step=1)
    loss.backward()
    expect(torch.isfinite(loss), "a loss that is not finite")
    # The head's: torch's own bfloat16 convolutions on a CPU now and then leave a NaN on 1 px maps.
    gradient = model.head.get_parameter("weight").grad
    if gradient is None or not gradient.any():
        raise ContractError("the head gets no gradient")
    expect(torch.isfinite(gradient).all(), "a gradient that is not finite")


def declares_its_cost(name: str) -> None:
    """It says what a step costs, and when it may first be judged."""
    plugin = plugins.plugin_class("representation", name)
    expect(plugin.cost > 0, "cost has to be above 0")
    share = plugin.deferral(plugins.load("representation", name).Config())
    expect(0 <= share < 1, f"deferral is {share}, and has to lie in [0, 1)")


CHECKS = (declares_its_cost, moves_the_model, repeats, bears_a_long_tail, runs_in_bfloat16)
