"""Dropout draws by the seed of a training, whatever its process drew before."""

import pytest
import torch

from lmd_bench.core.schema import no_report
from lmd_bench.methods.calibration import icc
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.training.loop import train
from tests import tiny

pytestmark = pytest.mark.usefixtures("narrow_resnets")


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def trained(drawn_before: int, seed: int = 0) -> torch.Tensor:
    train_set, val_set = tiny.sets()
    method = tiny.method("cross_entropy", torch.bincount(train_set.labels), n_steps=3)
    method.model.encoder.network.fc = torch.nn.Dropout(0.5)
    torch.rand(drawn_before)
    train(method, train_set, val_set, TrainingConfig(batch_size=13), 1, seed, no_report)
    return weights(method.model)


def calibrated(drawn_before: int) -> torch.Tensor:
    em = icc._EmLoop(icc.Config(estep_steps=4, batch_size=8, encoder_lr=0.1), tiny.stage1())
    em.model.encoder.network.fc = torch.nn.Dropout(0.5)
    gaussians = em._gaussians(em._moments(0))
    torch.rand(drawn_before)
    em._e_step(gaussians, epoch=0)
    return weights(em.model.encoder)


@pytest.mark.parametrize("of", [trained, calibrated])
def test_what_a_process_drew_before_changes_no_dropout(of):
    assert torch.equal(of(drawn_before=1), of(drawn_before=7))


def test_dropout_draws_from_torchs_generators_and_leaves_them_as_they_were(monkeypatch):
    before = torch.get_rng_state()
    first = trained(drawn_before=0)
    assert torch.equal(torch.get_rng_state(), before)
    # Another seed of the layers alone: the same data, order and views.
    seed = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda value: seed(value + 1))
    assert not torch.equal(trained(drawn_before=0), first)
