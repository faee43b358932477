"""Gradient checkpointing: the same training to the bit, with fewer activations kept."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from lmd_bench.contract import tiny
from lmd_bench.core.schema import no_report
from lmd_bench.methods.calibration import icc
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.limits import in_parts
from lmd_bench.methods.models.encoder import Encoder, load_encoder
from lmd_bench.methods.models.recomputing import blocks, recomputing
from lmd_bench.training.loop import train


def encoder(name: str, image_size: int = 32, device: str = "cpu") -> Encoder:
    with torch.device(device):
        training = TrainingConfig(backbone=name, pretrained=False)
        return load_encoder(training, 0, image_size=image_size)


def step(network: nn.Module, images: Tensor, *, recompute: bool) -> tuple[Tensor, int]:
    """Take a step's gradient; return the output and the bytes that were kept for the backward."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    network.train()
    with in_parts(1, recompute=recompute), recomputing(network):
        torch.manual_seed(1)
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            output = network(images)
        held = sum(kept.values())
        output.square().sum().backward()
    return output.detach(), held


@pytest.mark.parametrize(
    ("name", "image_size", "n"),
    [
        *[("resnet18", 32, 8), ("densenet121", 32, 4), ("vit_b_16", 16, 12)],
        *[("swin_t", 32, 12), ("mobilenet_v2", 32, 17), ("convnext_tiny", 32, 18)],
        ("efficientnet_lite0", 32, 16),
    ],
)
def test_the_blocks_of_a_network_are_those_that_its_paper_counts(
    name: str, image_size: int, n: int
):
    network = encoder(name, image_size, device="meta")
    found = list(blocks(network))
    assert len(found) == n
    inside = [module for block in found for module in block.modules()]
    assert len(inside) == len(set(inside))


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "densenet121", "swin_t"])
def test_gradients_and_running_statistics_are_equal_to_the_bit(name: str):
    # Several of them drop branches at random, so the draws are the same, too.
    images = torch.randn(4, 3, 32, 32)
    kept = encoder(name)
    again = copy.deepcopy(kept)
    output, held = step(kept, images, recompute=False)
    same, held_again = step(again, images, recompute=True)
    assert torch.equal(output, same)
    assert held_again < 0.6 * held
    for one, other in zip(kept.parameters(), again.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)
    for (label, one), (_, other) in zip(kept.named_buffers(), again.named_buffers(), strict=True):
        assert torch.equal(one, other), label


def test_nothing_is_left_on_the_modules_and_nothing_is_done_unasked():
    network = encoder("resnet18")
    with recomputing(network):
        assert not any("forward" in vars(module) for module in network.modules())
    with in_parts(1, recompute=True):
        with recomputing(network):
            assert sum("forward" in vars(module) for module in network.modules()) == 8
        assert not any("forward" in vars(module) for module in network.modules())


@pytest.mark.usefixtures("narrow_resnets")
@pytest.mark.parametrize("name", ["cross_entropy", "rrl", "ride", "sade", "bbn", "paco"])
def test_a_whole_training_is_the_same_to_the_bit(name: str):
    states = []
    for recompute in (False, True):
        train_set, val_set = tiny.sets()
        method = tiny.method(name, torch.bincount(train_set.labels), n_steps=6)
        with in_parts(1, recompute=recompute):
            fitted = train(
                method, train_set, val_set, TrainingConfig(batch_size=8), 2, 0, no_report
            )
        states.append((method.model.state_dict(), fitted.curve))
    (kept, curve), (again, same) = states
    assert curve == same
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def test_copies_made_meanwhile_compute_with_their_own_weights():
    network = encoder("resnet18")
    images = torch.randn(2, 3, 32, 32)
    with in_parts(1, recompute=True), recomputing(network):
        twin = copy.deepcopy(network).eval()
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.zero_()
            assert not twin(images).any()


def test_the_e_step_of_icc_is_the_same_to_the_bit():
    config = icc.Config(em_epochs=1, estep_steps=2, batch_size=8, lbfgs_iterations=2)
    states = []
    for recompute in (False, True):
        with in_parts(1, recompute=recompute):
            states.append(icc.Icc(config).fit(tiny.stage1()).model.state_dict())
    kept, again = states
    assert all(torch.equal(kept[name], again[name]) for name in kept)
