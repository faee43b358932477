"""On the virtual GPU: stored features, adapters, other encoders, trainings that were cut off."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lmd_bench.contract import tiny
from lmd_bench.core.schema import TrialContext, TrialSpec, no_report
from lmd_bench.data.batches import ImageSet, StoredViews
from lmd_bench.methods.models.fixed import StoredFacts
from lmd_bench.methods.models.precision import grad_scaler
from lmd_bench.methods.representation._base import Representation
from lmd_bench.training import checkpoint as checkpoints
from lmd_bench.training import loop, trial
from lmd_bench.training.checkpoint import Checkpoint
from lmd_bench.training.feed import Feed
from tests.test_devices import assert_clean, one_step
from tests.training.test_trial import make_spec
from tests.virtual_gpu import virtual_gpu

pytestmark = pytest.mark.usefixtures("narrow_resnets")
CUDA, CPU = torch.device("cuda"), torch.device("cpu")
LITE = {"backbone": "efficientnet_lite0", "pretrained": False}


@pytest.mark.parametrize("encoder", [LITE, {"backbone": "resnet50"}], ids=lambda e: e["backbone"])
def test_a_step_of_another_encoder_waits_for_nothing(encoder: dict):
    assert_clean(one_step("cross_entropy", augmentation="weak", **encoder))


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_adamw_waits_for_nothing(layer_decay: float):
    assert_clean(
        one_step("cross_entropy", augmentation="weak", optimiser="adamw", layer_decay=layer_decay)
    )


@pytest.mark.parametrize("name", ["cross_entropy", "rrl", "paco"])
@pytest.mark.parametrize("tune", ["adapter", "frozen"])
def test_a_step_on_stored_features_waits_for_nothing(name: str, tune: str):
    stages = tiny.pipeline(name)
    stages = replace(stages, training=replace(stages.training, tune=tune, optimiser="adamw"))
    rng = np.random.default_rng(0)
    copies = {
        view: rng.standard_normal((n, 39, 20)).astype(np.float32)
        for view, n in (("test", 1), ("strong", 2), ("weak", 2), ("simaugment", 2))
    }
    with virtual_gpu() as ledger:
        labels = torch.arange(39).to(CUDA) % 3
        images = ImageSet(StoredViews(copies, np.arange(39), CUDA), labels)
        stored = StoredFacts(20, True, 1.0)
        model = stages.new_model(3, 0, CUDA, stored=stored).train()
        method = stages.stage1(model, torch.tensor(tiny.COUNTS).to(CUDA), 3, 0)
        optimiser = loop.make_optimiser(model, method.extra, stages.training)
        feed, scaler = Feed(method, images, stages.training, 0), grad_scaler(CUDA)
        assert len(images.labels_on_cpu)
        for step in range(3):
            ledger.waits.clear()
            parts = feed.parts(torch.arange(12), step, 1)
            loop._step(feed, optimiser, scaler, parts, step)
        assert dict(ledger.waits) == {}
        assert all(p.grad is None or p.grad.is_cuda for p in model.parameters())


def run(spec: TrialSpec, results: Path, status: str) -> None:
    with virtual_gpu() as ledger:
        context = TrialContext(results=results, device="cuda", gpu_share=1.0)
        row = trial.execute_trial(replace(spec, n_epochs=1), context, no_report)
        assert (row["status"], row["device"]) == (status, "virtual GPU"), row["cause"]
        assert ledger.live_bytes() == 0


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("rrl+icc", {"tune": "adapter", "n_views": 1}),
        ("cross_entropy+knn", {"tune": "frozen", **LITE}),
    ],
    ids=str,
)
def test_a_trial_on_stored_features_or_another_encoder_leaves_nothing_on_the_gpu(
    method: str, settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # An empty cache: the features are computed on the GPU, in threads.
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    run(make_spec(method, **{f"training.{k}": v for k, v in settings.items()}), tmp_path, "ok")


@pytest.mark.parametrize(
    ("error", "status"), [(torch.OutOfMemoryError("drawn"), "oom"), (ValueError("a bug"), "error")]
)
def test_a_trial_on_an_adapter_that_fails_leaves_nothing_on_the_gpu(
    error: Exception, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(self, step: int) -> None:
        raise type(error)(str(error))

    monkeypatch.setattr(Representation, "after_step", fail)
    run(make_spec("cross_entropy", **{"training.tune": "adapter"}), tmp_path, status)


class Cut(Exception):
    pass


def trained(name: str, folder: Path | None, cut_after: int = 0) -> dict[str, torch.Tensor]:
    stages = tiny.pipeline(name)
    config = replace(stages.training, batch_size=13, keep="probe")
    both = [ImageSet(i.pixels.to(CUDA), i.labels.to(CUDA)) for i in tiny.sets(32)]
    model = stages.new_model(len(tiny.COUNTS), 0, CUDA)
    method = stages.stage1(model, torch.tensor(tiny.COUNTS).to(CUDA), 9, 0)
    seen: list[object] = []

    def on_epoch(progress: object) -> None:
        seen.append(progress)
        if len(seen) == cut_after:
            raise Cut

    checkpoint = folder and Checkpoint(folder, {})
    fitted = loop.train(method, *both, config, 3, 0, on_epoch, checkpoint)
    assert len(seen) == 3
    assert all(value.is_cuda for value in model.state_dict().values())
    fitted.encoder.restore(model)
    return {key: value.to(CPU) for key, value in model.state_dict().items()}


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize("name", ["rrl", "paco"])  # a teacher; a queue of keys
def test_a_training_that_was_cut_off_goes_on_to_the_same_bits_on_the_gpu(
    name: str, bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    with virtual_gpu(bf16):
        whole = trained(name, None)
        with pytest.raises(Cut):
            trained(name, tmp_path / "c", cut_after=3)
        assert (tmp_path / "c" / "state.json").is_file()
        again = trained(name, tmp_path / "c")
    assert whole.keys() == again.keys()
    assert all(torch.equal(value, again[key]) for key, value in whole.items())
