"""cRT: balanced draws, a fresh head, the best epoch on val."""

import torch

from lmd_bench.methods.calibration import crt
from lmd_bench.methods.calibration._sgd import balanced_draws, fresh_head
from tests import tiny


def test_balanced_draws_take_each_class_equally_often():
    labels = torch.tensor([0] * 90 + [1] * 9 + [2])
    drawn = labels[balanced_draws(labels, 30_000, seed=0)]
    share = torch.bincount(drawn) / 30_000
    assert (share - 1 / 3).abs().max() < 0.01


def test_draws_and_heads_repeat_with_their_seed():
    labels = torch.tensor([0, 0, 1])
    assert torch.equal(balanced_draws(labels, 9, 1), balanced_draws(labels, 9, 1))
    a, b = (fresh_head(4, 2, 5, torch.device("cpu")) for _ in range(2))
    assert torch.equal(a.weight, b.weight)


def test_crt_discards_the_stage_one_head():
    stage1 = tiny.stage1()
    with torch.no_grad():
        stage1.model.head.weight.fill_(float("nan"))
    result = crt.Crt(crt.Config(n_epochs=2, lr=0.01)).fit(stage1)
    assert torch.isfinite(result.model.head.weight).all()
    assert [point.epoch for point in result.curve] == [1, 2]
