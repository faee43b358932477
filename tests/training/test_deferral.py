"""No named method keeps an epoch of before its own deferral point, whatever its scores say."""

import pytest
import torch

from lmd_bench.core import plugins
from lmd_bench.core.schema import no_report
from lmd_bench.data.batches import epoch_batches
from lmd_bench.methods import best_epoch
from lmd_bench.methods.best_epoch import first_judged
from lmd_bench.methods.catalogue import named_methods
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.settings import default_config, section_config
from lmd_bench.training import loop
from lmd_bench.training.loop import train
from tests import tiny

N_EPOCHS = 5


def deferred() -> list[tuple[str, float]]:
    """Return the named methods whose stage 1 is deferred by default, one for each stage 1."""
    found: dict[tuple[str, float], str] = {}
    for name, method in named_methods().items():
        config = section_config(method.representation, default_config(method))
        share = plugins.plugin_class("representation", method.representation).deferral(config)
        if share > 0:
            found.setdefault((method.representation, share), name)
    return [(name, share) for (_, share), name in found.items()]


def test_several_methods_are_deferred():
    representations = {named_methods()[name].representation for name, _ in deferred()}
    assert {"ldam_drw", "rrl", "bbn", "influence_balanced", "ride"} <= representations


@pytest.mark.parametrize(("name", "share"), deferred())
@pytest.mark.parametrize("keep", ["probe", "best"])
def test_no_kept_epoch_lies_before_the_deferral_point(
    monkeypatch: pytest.MonkeyPatch, name: str, share: float, keep
) -> None:
    """Every epoch is worse on val than the one before, so the first allowed one is the best."""
    scores = iter(range(1000, 0, -1))
    monkeypatch.setattr(best_epoch, "balanced_accuracy", lambda labels, z: next(scores) / 1000)
    monkeypatch.setattr(loop, "probe_balanced_accuracy", lambda *args: next(scores) / 1000)
    method = named_methods()[name]
    own = section_config(method.representation, default_config(method))
    counts = torch.tensor(tiny.COUNTS)
    stage1 = tiny.method(method.representation, counts, n_steps=2 * N_EPOCHS, config=own)
    config = TrainingConfig(batch_size=16, augmentation="weak", keep=keep, lr=1e-3)
    fitted = train(stage1, *tiny.sets(), config, N_EPOCHS, 0, no_report)
    first = first_judged(share, N_EPOCHS, 2)  # of 39 images, in batches of 16
    assert first > 1
    assert (fitted.best_epoch, fitted.encoder.epoch) == (first, first)


@pytest.mark.parametrize(("start", "n_epochs"), [(0.83, 6), (0.8, 1)])
def test_deferred_sampling_begins_in_the_first_epoch_that_may_be_kept(
    monkeypatch: pytest.MonkeyPatch, start: float, n_epochs: int
) -> None:
    drawn: list[bool] = []

    def batches(labels, batch_size, seed, weights):
        drawn.append(weights is not None)
        return epoch_batches(labels, batch_size, seed, weights)

    monkeypatch.setattr(loop, "epoch_batches", batches)
    own = plugins.load("representation", "resampling").Config(schedule="deferred", start=start)
    counts = torch.tensor(tiny.COUNTS)
    stage1 = tiny.method("resampling", counts, n_steps=2 * n_epochs, config=own)
    config = TrainingConfig(batch_size=16, augmentation="weak")
    train(stage1, *tiny.sets(), config, n_epochs, 0, no_report)
    assert drawn.index(True) + 1 == first_judged(start, n_epochs)
