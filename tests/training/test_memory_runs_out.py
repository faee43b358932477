"""Where memory runs out a trial runs again in smaller parts, whatever said so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lmd_bench.contract import tiny
from lmd_bench.core.errors import BrokenPlaceError
from lmd_bench.core.schema import TrialContext, no_report
from lmd_bench.methods.calibration import icc
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.limits import in_parts, is_out_of_memory
from lmd_bench.methods.models import heads
from lmd_bench.methods.models.heads import NeighboursHead
from lmd_bench.methods.models.model import predict
from lmd_bench.methods.representation._base import Representation
from lmd_bench.training import device, trial
from lmd_bench.training.features import features_of_pixels, load_trunk
from tests.training.test_trial import make_spec
from tests.virtual_gpu import virtual_gpu

pytestmark = pytest.mark.usefixtures("narrow_resnets")
SHORT = {"icc.em_epochs": 1, "icc.estep_steps": 2, "icc.lbfgs_iterations": 2}
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    torch.AcceleratorError("CUDA error: out of memory", 2),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_each_way_to_say_it_is_understood(error: Exception):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


class Room:
    """Memory for so many rows at once; says by `seen` how many were asked for."""

    def __init__(self, rows: int) -> None:
        self.rows, self.seen = rows, list[int]()

    def take(self, n: int) -> None:
        self.seen.append(n)
        if n > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory")


def close(value: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5)


def test_a_look_at_val_goes_on_in_halves_with_the_same_logits():
    model, (_, val) = tiny.model(), tiny.sets()
    whole, room = predict(model, val), Room(3)
    model.encoder.register_forward_pre_hook(lambda _, args: room.take(len(args[0])))
    for cut, value in zip(predict(model, val), whole, strict=True):
        close(cut, value)
    assert room.seen[0] == 12
    assert room.seen[-1] <= 3
    room.rows = 0
    with pytest.raises(torch.OutOfMemoryError):  # one image is the least there is
        predict(model, val)


def test_where_memory_ran_out_looks_at_val_begin_smaller():
    model, (_, val) = tiny.model(), tiny.sets()
    room = Room(4)
    model.encoder.register_forward_pre_hook(lambda _, args: room.take(len(args[0])))
    with in_parts(128):
        predict(model, val)
    assert room.seen == [4, 4, 4]


def test_no_images_give_no_features_of_the_right_width():
    features, logits = predict(tiny.model(), tiny.image_set((0, 0, 0), seed=0))
    assert features.shape == (0, tiny.model().encoder.width)
    assert logits.shape == (0, 3)


def test_neighbours_are_sought_in_halves_with_the_same_votes(monkeypatch: pytest.MonkeyPatch):
    rng = torch.Generator().manual_seed(0)
    features, asked = torch.rand(50, 8, generator=rng), torch.rand(30, 8, generator=rng)
    head = NeighboursHead.of(features, torch.arange(50) % 3, 3, None)
    whole, room, topk = head.votes(asked, [1, 4]), Room(4), Tensor.topk

    def small(self, *rest, **options):
        room.take(len(self))
        return topk(self, *rest, **options)

    monkeypatch.setattr(Tensor, "topk", small)
    close(head.votes(asked, [1, 4]), whole)
    assert max(room.seen) == 30


def test_a_whole_val_set_is_never_held_against_a_whole_train_set(monkeypatch):
    monkeypatch.setattr(heads, "_ROWS", 7)
    head = NeighboursHead.of(torch.eye(20), torch.arange(20) % 2, 2, None)
    room, topk = Room(7), Tensor.topk

    def small(self, *rest, **options):
        room.take(len(self))
        return topk(self, *rest, **options)

    monkeypatch.setattr(Tensor, "topk", small)
    assert head.votes(torch.eye(20), [1]).shape == (1, 20, 2)
    assert room.seen == [7, 7, 6]


def test_stored_features_are_computed_in_halves():
    room, training = Room(5), TrainingConfig()
    trunk = load_trunk(training, 16, torch.device("cpu"))
    trunk.register_forward_pre_hook(lambda _, args: room.take(len(args[0])))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    asked = (trunk, training, pixels, torch.device("cpu"), 1)
    cut = features_of_pixels(*asked)
    room.rows = 16
    np.testing.assert_allclose(cut, features_of_pixels(*asked), atol=1e-5)
    assert len(cut) == 20
    assert 4 in room.seen


@pytest.mark.parametrize("share", [0.25, 0.0, 1.0])
def test_a_trial_takes_no_more_of_a_gpu_than_its_share(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def nothing(*rest):
        raise ValueError("far enough")

    monkeypatch.setattr(trial, "load_task", nothing)
    with virtual_gpu() as ledger:
        context = TrialContext(results=tmp_path, device="cuda", gpu_share=share)
        with pytest.raises(ValueError, match="far enough"):
            trial.run_trial(make_spec("cross_entropy"), context, no_report)
    assert ledger.fractions == [share or 1.0]


def test_an_e_step_without_memory_runs_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inner, sizes = icc._EmLoop._e_loss, []

    def e_loss(self, indices, *rest):
        sizes.append(len(indices))
        if len(indices) > 24:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")
        return inner(self, indices, *rest)

    monkeypatch.setattr(icc._EmLoop, "_e_loss", e_loss)
    spec = replace(make_spec("cross_entropy+icc", **SHORT), n_epochs=1)
    row = trial.execute_trial(spec, TrialContext(results=tmp_path, device="cpu"), no_report)
    assert row["status"] == "ok", row["cause"]
    # Once with activations kept, once with activations computed again, then in parts.
    assert sizes[0] == sizes[1] > 24 >= max(sizes[2:])
    # the encoder was trained on whole batches before, and stayed
    assert (row["n_micro_batches"], row["n_parts"], row["recomputed"]) == (1, 2, True)


def test_a_trial_that_starts_again_counts_its_epochs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(self, step: int) -> None:
        if step == 5:
            raise torch.OutOfMemoryError("drawn")

    monkeypatch.setattr(Representation, "after_step", fail)
    row = trial.execute_trial(
        make_spec("cross_entropy"), TrialContext(results=tmp_path, device="cpu"), no_report
    )
    assert (row["status"], row["fidelity"]) in {("oom", 0), ("oom", 1)}


def test_gpus_that_cuda_does_not_start_on_are_never_replaced_by_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BrokenPlaceError, match="lists 2 GPU"):
        device.n_gpus()
    names, trouble = device.usable_gpus()
    assert names == ()
    assert "driver" in trouble
