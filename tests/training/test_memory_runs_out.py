"""Where memory runs out a trial runs again in smaller parts, whatever said so."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lmd_bench.contract import tiny
from lmd_bench.core.errors import BrokenPlaceError
from lmd_bench.core.schema import TrialContext, no_report
from lmd_bench.methods.calibration import icc
from lmd_bench.methods.limits import in_parts, is_out_of_memory
from lmd_bench.methods.models.model import predict
from lmd_bench.methods.representation._base import Representation
from lmd_bench.training import device, trial
from tests.training.test_trial import make_spec

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


def test_a_look_at_val_in_parts_gives_the_same_logits():
    model, (_, val) = tiny.model(), tiny.sets()
    whole = predict(model, val)[1]
    with in_parts(128):
        torch.testing.assert_close(predict(model, val)[1], whole, atol=1e-5, rtol=1e-5)


def test_an_e_step_without_memory_runs_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inner, sizes = icc._EmLoop._e_loss, []

    def e_loss(self, indices, *rest):
        sizes.append(len(indices))
        if len(indices) > 24:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")
        return inner(self, indices, *rest)

    monkeypatch.setattr(icc._EmLoop, "_e_loss", e_loss)
    spec = replace(make_spec("cross_entropy+icc"), n_epochs=1)
    row = trial.execute_trial(spec, TrialContext(results=tmp_path, device="cpu"), no_report)
    assert row["status"] == "ok", row["cause"]
    assert sizes[0] > 24 >= max(sizes[1:])


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
