"""The next step's batch, made in a thread: the same bits, no step waits, and no thread is left."""

import gc
import threading
from dataclasses import replace

import pytest
import torch

from lmd_bench.contract import tiny
from lmd_bench.core.schema import no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.data.views import forget_constants, make_view
from lmd_bench.training import feed as feeding
from lmd_bench.training.feed import Feed, makes_ahead
from lmd_bench.training.loop import train
from tests.virtual_gpu import virtual_gpu

pytestmark = pytest.mark.usefixtures("narrow_resnets")
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def on_gpu(images: ImageSet) -> ImageSet:
    return ImageSet(images.pixels.to(CUDA), images.labels.to(CUDA))


def trained(name: str, **training) -> dict[str, torch.Tensor]:
    stages = tiny.pipeline(name)
    config = replace(stages.training, batch_size=12, **training)
    # Of 16 px the last stage sees one pixel, whose strided convolution has a bfloat16 gradient on
    # the CPU that reads memory which nobody wrote.
    both = [on_gpu(images) for images in tiny.sets(32)]
    model = stages.new_model(len(tiny.COUNTS), 0, CUDA)
    method = stages.stage1(model, torch.tensor(tiny.COUNTS).to(CUDA), 6, 0)
    train(method, *both, config, 2, 0, no_report)
    return {key: value.to(CPU) for key, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "training"),
    [("cross_entropy", {"mixing": "cmo"}), ("rrl", {}), ("bbn", {"augmentation": "randaugment"})],
)
def test_a_training_has_the_bits_of_one_that_makes_each_batch_in_its_step(
    name: str, training: dict, monkeypatch: pytest.MonkeyPatch
):
    # What a thread of its own would draw elsewhere: torch's generator, that of the process.
    torch.manual_seed(0)
    with virtual_gpu():
        ahead = trained(name, **training)
        monkeypatch.setattr(feeding, "makes_ahead", lambda device: False)
        torch.manual_seed(1)
        in_turn = trained(name, **training)
    assert ahead.keys() == in_turn.keys()
    assert all(torch.equal(value, in_turn[key]) for key, value in ahead.items())


def made_in(device: torch.device, n_parts: int, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the threads that make the views of three steps."""
    threads: list[str] = []

    def seen(view, pixels, seed):
        threads.append(threading.current_thread().name.partition("_")[0])
        return make_view(view, pixels, seed)

    monkeypatch.setattr(feeding, "make_view", seen)
    images = tiny.sets()[0]
    stages = tiny.pipeline("cross_entropy")
    with virtual_gpu() as ledger:
        images = images if device == CPU else on_gpu(images)
        model = stages.new_model(len(tiny.COUNTS), 0, device)
        counts = torch.tensor(tiny.COUNTS).to(device)
        feed = Feed(stages.stage1(model, counts, 3, 0), images, stages.training, 0)
        ledger.waits.clear()
        for parts in feed.steps([torch.arange(12)] * 3, 0, n_parts):
            assert sum(len(targets.labels) for _, targets, _ in parts()) == 12
        assert dict(ledger.waits) == {}
    assert len(threads) == 3 * n_parts
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("views")]
    return set(threads)


def test_views_are_made_beside_the_step_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch):
    assert made_in(CUDA, 1, monkeypatch) == {"views"}
    # On a CPU views and network share the cores; without memory nothing is made before its turn.
    assert made_in(CPU, 1, monkeypatch) == {"MainThread"}
    assert made_in(CUDA, 3, monkeypatch) == {"MainThread"}
    assert not makes_ahead(CPU)


def test_memory_that_runs_out_in_the_thread_ends_the_step_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    made: list[int] = []

    def fail(view, pixels, seed):
        made.append(seed)
        if len(made) == 3:
            raise torch.OutOfMemoryError("drawn")
        return make_view(view, pixels, seed)

    monkeypatch.setattr(feeding, "make_view", fail)
    gc.collect()
    gc.disable()
    try:
        with virtual_gpu() as ledger:
            # Outside of the handler, where the traceback holds no tensors any more.
            with pytest.raises(torch.OutOfMemoryError, match="drawn") as raised:
                trained("cross_entropy")
            del raised
            forget_constants()
            assert ledger.live_bytes() == 0
    finally:
        gc.enable()
