"""Half precision: bfloat16 on a GPU, scaled float16 where it has none, and what is asked for."""

import platform
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from lmd_bench.contract import tiny
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Progress, TrialContext, no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.methods.models.precision import (
    autocast,
    check_precision,
    grad_scaler,
    in_precision,
    precision_of,
    sgd,
)
from lmd_bench.training import checkpoint as checkpoints
from lmd_bench.training import loop, trial
from lmd_bench.training.device import device_columns, driver_version
from lmd_bench.training.feed import Feed
from tests.test_devices import ICC, assert_clean, one_step
from tests.training.test_trial import make_spec
from tests.virtual_gpu import virtual_gpu

pytestmark = pytest.mark.usefixtures("narrow_resnets")
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def test_a_gpu_has_the_half_precision_that_it_computes_in():
    assert precision_of(CPU) == torch.float32
    assert not autocast(CPU)._enabled
    for bf16, expected in ((True, torch.bfloat16), (False, torch.float16)):
        with virtual_gpu(bf16):
            assert precision_of(CUDA) == expected
            assert autocast(CUDA).fast_dtype == expected
            assert grad_scaler(CUDA).is_enabled() is not bf16


def test_a_precision_that_is_asked_for_holds_on_every_device():
    with in_precision("bfloat16"):
        assert autocast(CPU)._enabled
        assert precision_of(CPU) == precision_of(CUDA) == torch.bfloat16
        with in_precision("float32"):
            assert precision_of(CUDA) == torch.float32
            assert not autocast(CUDA)._enabled
            assert not grad_scaler(CUDA).is_enabled()
        assert precision_of(CPU) == torch.bfloat16
    assert precision_of(CPU) == torch.float32


def test_a_step_in_bfloat16_on_a_cpu_goes_where_that_in_float32_does():
    expected = step_of(CPU)
    with in_precision("bfloat16"):
        step = step_of(CPU)
    assert not torch.equal(step, expected)
    # Of 8 bits, which processors round in other places: .89 on one with AVX2 alone.
    assert torch.cosine_similarity(step, expected, dim=0) > 0.8


@pytest.fixture
def with_avx512(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


def test_a_processor_that_only_emulates_bfloat16_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    context = TrialContext(tmp_path, device="cpu")
    spec = make_spec("cross_entropy", **{"training.precision": "bfloat16"})
    with pytest.raises(UserError, match=r"precision=bfloat16 .* 25 times .* auto"):
        trial.execute_trial(spec, context, no_report)
    with in_precision("bfloat16"):
        check_precision(CUDA)
    check_precision(CPU)


@pytest.mark.usefixtures("with_avx512")
@pytest.mark.parametrize("method", ["rrl+icc"])
def test_a_trial_runs_in_the_precision_of_its_config_and_says_so(method: str, tmp_path: Path):
    context = TrialContext(tmp_path, device="cpu")
    rows = {}
    for precision in ("auto", "float32", "bfloat16"):
        spec = replace(make_spec(method, **ICC, **{"training.precision": precision}), n_epochs=1)
        rows[precision] = trial.execute_trial(spec, context, no_report)
        assert rows[precision]["status"] == "ok", rows[precision]["cause"]
    said = [row["precision"] for row in rows.values()]
    assert said == ["float32", "float32", "bfloat16"]
    losses = [row["curve"][0]["loss"] for row in rows.values()]
    assert losses[0] == losses[1] != losses[2]
    assert len({row["encoder_key"] for row in rows.values()}) == 3


@pytest.mark.usefixtures("with_avx512")
def test_a_row_of_a_failed_trial_says_its_precision_too(tmp_path: Path):
    spec = make_spec("cross_entropy", **{"training.precision": "bfloat16", "training.lr": 1e30})
    row = trial.execute_trial(spec, TrialContext(tmp_path, device="cpu"), no_report)
    assert (row["status"], row["precision"]) == ("diverged", "bfloat16")


@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("cross_entropy", {}),
        ("rrl", {}),
        ("cross_entropy", {"sam_rho": 0.05}),
        ("cross_entropy", {"optimiser": "adamw"}),
    ],
)
def test_a_scaled_step_waits_for_nothing_and_leaves_float16_to_encoders(name: str, training: dict):
    assert_clean(one_step(name, bf16=False, **training))


def step_of(device: torch.device, **training) -> torch.Tensor:
    """Return how far one step moves the parameters of a network for 64 px."""
    stages = tiny.pipeline("cross_entropy")
    config = replace(stages.training, batch_size=39, lr=0.01, augmentation="weak", **training)
    train_set, _ = tiny.sets(64)
    train_set = ImageSet(train_set.pixels.to(device), train_set.labels.to(device))
    model = stages.new_model(len(tiny.COUNTS), 0, device).train()
    method = stages.stage1(model, torch.tensor(tiny.COUNTS).to(device), 1, 0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    feed = Feed(method, train_set, config, 0)
    optimiser, scaler = loop.make_optimiser(model, method.extra, config), loop.grad_scaler(device)
    loop._step(feed, optimiser, scaler, feed.parts(torch.arange(39), 0, 1), 0)
    after = zip(before, model.parameters(), strict=True)
    return torch.cat([(b - a.detach()).flatten() for b, a in after]).to(CPU)


@pytest.mark.parametrize("training", [{}, {"sam_rho": 0.001}], ids=str)
def test_a_step_in_float16_goes_where_that_in_float32_does(
    training: dict, monkeypatch: pytest.MonkeyPatch
):
    # The usual first scale is found to be too high in the first steps, which are left out then.
    low = partial(torch.amp.GradScaler, "cuda", init_scale=64.0)
    monkeypatch.setattr(loop, "grad_scaler", lambda device: low(enabled=device.type == "cuda"))
    expected = step_of(CPU, **training)
    with virtual_gpu(bf16=False):
        step = step_of(CUDA, **training)
    assert torch.cosine_similarity(step, expected, dim=0) > 0.9
    assert float(step.norm()) == pytest.approx(float(expected.norm()), rel=0.2)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_gradient_that_overflows_is_no_step_and_the_next_one_is_whole(momentum: float):
    with virtual_gpu(bf16=False):
        weight = torch.nn.Parameter(torch.ones(3).to(CUDA))
        optimiser, scaler = sgd([weight], 0.5, momentum, 0.0, CUDA), grad_scaler(CUDA)

        def step(gradient: float) -> list[float]:
            optimiser.zero_grad()
            scaler.scale((weight * gradient).sum()).backward()
            scaler.step(optimiser)
            scaler.update()
            return weight.detach().tolist()

        before = scaler.get_scale()
        assert step(float("inf")) == [1.0] * 3
        assert scaler.get_scale() == before / 2
        # Momentum begins at nothing, not at what lay in memory.
        assert step(1.0) == [0.5] * 3


@pytest.mark.parametrize("method", ["rrl+icc"])
def test_a_trial_on_a_card_without_bfloat16_is_ok_and_says_its_precision(
    method: str, tmp_path: Path
):
    spec = replace(make_spec(method, **ICC), n_epochs=1)
    with virtual_gpu(bf16=False) as ledger:
        context = TrialContext(results=tmp_path, device="cuda", gpu_share=1.0)
        row = trial.execute_trial(spec, context, no_report)
        assert ledger.live_bytes() == 0
    assert (row["status"], row["precision"]) == ("ok", "float16"), row["cause"]
    assert row["cuda_version"] == torch.version.cuda


class Cut(Exception):
    pass


def test_a_training_that_goes_on_in_another_precision_begins_anew(tmp_path: Path, monkeypatch):
    """A card with bfloat16 has no state of a scaler for one without."""
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    context = TrialContext(tmp_path, device="cuda", gpu_share=1.0)
    spec, losses = make_spec("cross_entropy"), []

    def cut(progress: Progress) -> None:
        losses.append(progress.loss)
        if progress.epoch == 2:
            raise Cut

    with virtual_gpu(bf16=True), pytest.raises(Cut):
        trial.run_trial(spec, context, cut)
    assert list(tmp_path.glob("encoders/.*.checkpoint/state.json"))
    with virtual_gpu(bf16=False):
        row = trial.execute_trial(spec, context, no_report)
    assert (row["status"], row["precision"]) == ("ok", "float16"), row["cause"]
    assert row["curve"][0]["loss"] != losses[0]


def test_a_row_says_what_it_was_computed_with(tmp_path: Path):
    context = TrialContext(tmp_path)
    on_cpu = device_columns(CPU, context)
    assert on_cpu["precision"] == "float32"
    assert "driver_version" not in on_cpu
    with virtual_gpu():
        columns = device_columns(CUDA, context)
    assert columns["precision"] == "bfloat16"
    assert {"host", "gpu_uuid", "cuda_version", "driver_version"} <= columns.keys()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May\nGCC 12.3.0",
            "535.183.01",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build",
            "580.65.06",
        ),
        ("NVRM version: unknown", None),
    ],
)
def test_the_driver_says_its_version(text: str, version: str | None, tmp_path: Path):
    file = tmp_path / "version"
    assert driver_version(file) is None
    file.write_text(text)
    assert driver_version(file) == version
