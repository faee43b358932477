"""On a CUDA device: a trial in bfloat16 ends well and its encoder loads back."""

from pathlib import Path

import pytest
import torch

from lmd_bench.contract import tiny
from lmd_bench.core.schema import TrialContext, no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.methods.models.precision import grad_scaler
from lmd_bench.training import loop, trial
from lmd_bench.training.feed import Feed
from tests.training.test_trial import make_spec

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("method", ["lmd", "crt", "logit_adjustment", "vfc"])
def test_a_trial_runs_on_the_gpu_and_again_from_its_cached_encoder(method: str, tmp_path: Path):
    context = TrialContext(results=tmp_path, device="cuda", gpu_share=1.0)
    first = trial.execute_trial(make_spec(method), context, no_report)
    again = trial.execute_trial(make_spec(method, phase="confirm"), context, no_report)
    assert (first["status"], again["status"]) == ("ok", "ok"), first["cause"]
    assert first["encoder_key"] == again["encoder_key"]
    assert first["device"] == torch.cuda.get_device_name()
    assert first["peak_memory_mib"] > 0
    assert first["energy_joules"] is None or first["energy_joules"] > 0


@pytest.mark.parametrize("name", ["cross_entropy", "rrl", "bbn", "seesaw", "equalization"])
def test_a_step_does_not_wait_for_the_gpu(name: str):
    device = torch.device("cuda")
    stages = tiny.pipeline(name)
    train_set = tiny.sets()[0]
    train_set = ImageSet(train_set.pixels.to(device), train_set.labels.to(device))
    model = stages.new_model(len(tiny.COUNTS), 0, device).train()
    method = stages.stage1(model, torch.tensor(tiny.COUNTS, device=device), 100, 0)
    optimiser = loop.make_optimiser(model, method.extra, stages.training)
    scaler = grad_scaler(device)
    feed = Feed(method, train_set, stages.training, 0)
    # The first steps make what is kept.
    for step in range(2):
        loop._step(feed, optimiser, scaler, feed.parts(torch.arange(12), step, 1), step)
    torch.cuda.set_sync_debug_mode("error")
    try:
        loop._step(feed, optimiser, scaler, feed.parts(torch.arange(12), 2, 1), 2)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_probe_of_a_small_trial_finds_a_small_share(tmp_path):
    from lmd_bench.training.memory import measure
    from tests.training.test_trial import make_spec

    share = measure(make_spec("rrl"), TrialContext(results=tmp_path, device="cuda"))
    assert 0.0 < share < 0.5
