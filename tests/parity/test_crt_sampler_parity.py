"""facebookresearch/classifier-balancing @ f162adef63, data/ClassAwareSampler.py."""

import torch

from lmd_bench.methods.calibration._sgd import class_aware_draws
from tests.parity.cases import arrays

CASE = arrays("crt_sampler")
LABELS = torch.arange(8).repeat_interleave(CASE["counts"])


def test_an_epoch_draws_every_class_and_image_as_often_as_theirs():
    draws = class_aware_draws(LABELS, seed=0)
    assert len(draws) == CASE["epoch_length"]
    assert torch.equal(torch.bincount(LABELS[draws]), CASE["draws_per_class"])
    of_image = torch.bincount(draws, minlength=len(LABELS)).split(CASE["counts"].tolist())
    assert [int(times.min()) for times in of_image] == CASE["fewest_draws_of_an_image"].tolist()
    assert [int(times.max()) for times in of_image] == CASE["most_draws_of_an_image"].tolist()


def test_an_epoch_has_as_many_steps_as_theirs():
    assert (
        -(-len(class_aware_draws(LABELS, seed=0)) // int(CASE["batch_size"]))
        == (CASE["steps_per_epoch"])
    )


def test_classes_come_in_turn_one_image_each_where_theirs_come_in_fours():
    """The order differs: theirs depends on a generator, and only the ends of batches feel it."""
    ours, theirs = LABELS[class_aware_draws(LABELS, seed=0)][:64], CASE["classes_of_first_64"]
    assert ours.view(8, 8).sort().values.unique(dim=0).tolist() == [list(range(8))]
    assert (theirs.view(-1, int(CASE["num_samples_cls"])).diff() == 0).all()
    assert torch.equal(torch.bincount(ours), torch.bincount(theirs))
