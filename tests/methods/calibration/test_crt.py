"""cRT: balanced draws, a fresh head, the best epoch on val."""

import pytest
import torch
import torch.nn.functional as F

from lmd_bench.core.schema import no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.methods.calibration import crt
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.methods.calibration._sgd import (
    balanced_draws,
    class_aware_draws,
    fit_head,
    fitted_batch,
    fresh_head,
)
from lmd_bench.methods.models.model import Model
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


def test_a_class_without_images_is_left_out_of_a_class_aware_epoch():
    labels = torch.tensor([0, 0, 0, 2])
    assert labels[class_aware_draws(labels, seed=0)].tolist() == [0, 2, 0, 2, 0, 2]


def test_a_batch_fits_the_epoch():
    assert fitted_batch(512, 927) == 32
    assert fitted_batch(512, 3500) == 109
    assert fitted_batch(512, 100_000) == 512
    assert fitted_batch(16, 927) == 16


@pytest.mark.parametrize(("balanced", "n_steps"), [(True, 33), (False, 13)])
def test_a_small_train_set_still_gives_a_head_its_steps(balanced, n_steps):
    """400 images at batch 512 were one step an epoch, ten in all."""
    labels = torch.arange(3).repeat_interleave(torch.tensor([350, 40, 10]))
    features = torch.randn(400, 8)
    both = ImageSet(torch.zeros(400, 1, 1, 3, dtype=torch.uint8), labels)
    head = fresh_head(8, 3, 0, torch.device("cpu"))
    given = Stage1(
        Model(torch.nn.Identity(), head),
        (both, both),
        lambda: (features, features),
        seed=0,
        on_epoch=no_report,
    )
    optimiser = torch.optim.SGD(head.parameters(), lr=0.1)
    taken = []
    optimiser.register_step_post_hook(lambda *_: taken.append(1))
    fit_head(given, head, optimiser, crt.Config(n_epochs=2), F.cross_entropy, balanced=balanced)
    assert len(taken) == 2 * n_steps
