import torch

from lmd_bench.methods.calibration.mislas import Config, Mislas
from tests.methods.calibration import features


def test_factors_and_head_both_move_and_a_factor_of_zero_holds_the_head():
    for factor, still in ((0.1, False), (0.0, True)):
        given = features.stage1()
        before = given.model.head.weight.detach().clone()
        head = Mislas(Config(head_lr_factor=factor)).fit(given).model.head
        assert torch.equal(head.head.weight, before) == still
        assert not torch.equal(head.scale, torch.ones(3))


def test_it_improves_on_an_untrained_head():
    given = features.stage1()
    untrained = float(
        (given.model.head(given.features[1]).argmax(1) == given.val_set.labels).float().mean()
    )
    assert features.val_accuracy(Mislas(Config()).fit(given), given) > max(0.6, untrained)
