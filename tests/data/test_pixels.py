"""Pixels on the shared map or on the GPU: the same bytes each way."""

import numpy as np
import pytest
import torch

from lmd_bench.core.schema import DataSource
from lmd_bench.data import batches as pixels
from lmd_bench.data.batches import ImageSet, MappedPixels, ResidentPixels, gather
from lmd_bench.data.images import prepare as images
from lmd_bench.store.store import open_store
from lmd_bench.training import trial
from lmd_bench.training.device import fits, open_pixels
from tests.training.test_trial import make_spec, run

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def array():
    """Ten images of 2x2 pixels, image i of value i."""
    return np.arange(10, dtype=np.uint8).repeat(12).reshape(10, 2, 2, 3)


def values(batch):
    return batch[:, 0, 0, 0].tolist()


def test_positions_of_the_split_become_rows_of_the_map(array):
    split = MappedPixels(array, np.array([1, 4, 5, 9]), CPU)
    assert len(split) == 4
    assert values(split[torch.tensor([3, 0, 3])]) == [9, 1, 9]
    assert values(split[1:3]) == [4, 5]
    assert values(split[2:100]) == [5, 9]


def test_a_position_beyond_the_split_is_refused(array):
    with pytest.raises(IndexError):
        MappedPixels(array, np.array([1, 4]), CPU)[torch.tensor([2])]


def test_a_batch_is_a_copy(array):
    batch = gather(array, np.array([3, 7]), pinned=False)
    batch[:] = 200
    assert array.max() == 9


def test_a_batch_of_a_set_is_the_same_from_the_map_and_from_a_tensor(array):
    rows, labels = np.array([0, 2, 4, 6]), torch.tensor([0, 0, 1, 1])
    indices = torch.tensor([2, 1])
    mapped = ImageSet(MappedPixels(array, rows, CPU), labels).batch(indices)
    held = ImageSet(torch.from_numpy(array[rows]), labels).batch(indices)
    assert torch.equal(mapped[0], held[0])
    assert mapped[1].tolist() == held[1].tolist() == [1, 0]


def test_on_a_cpu_the_pixels_stay_on_the_map_whatever_their_size():
    prepared = images.prepare("synthetic", DataSource(), 16)
    split = open_pixels(prepared, np.arange(5), CPU, gpu_share=0.0)
    assert isinstance(split, MappedPixels)
    np.testing.assert_array_equal(split[:].numpy(), prepared.read(np.arange(5)))


def test_a_data_set_lies_on_a_gpu_where_it_takes_a_quarter_of_the_trials_share():
    assert fits(4 * GIB, 16 * GIB, 1.0)
    assert not fits(4 * GIB + 1, 16 * GIB, 1.0)
    assert not fits(4 * GIB, 16 * GIB, 0.5)
    assert fits(4 * GIB, 16 * GIB, 2.0)  # two GPUs: the pixels lie on one
    assert fits(4 * GIB, 16 * GIB, 0.0)  # a share that was not said


def test_a_trial_on_the_map_equals_one_on_tensors_bit_by_bit(tmp_path, monkeypatch):
    spec = make_spec("crt", phase="confirm")
    on_map = run(spec, tmp_path / "map")

    def on_tensors(prepared, rows, device, gpu_share):
        return torch.from_numpy(prepared.read(rows)).to(device)

    monkeypatch.setattr(trial, "open_pixels", on_tensors)
    held = run(spec, tmp_path / "tensors")
    assert on_map["curve"] == held["curve"]
    logits = [open_store(tmp_path / name).read_logits(spec.key) for name in ("map", "tensors")]
    for split in ("val", "test"):
        np.testing.assert_array_equal(logits[0][split][2], logits[1][split][2])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_streamed_and_resident_pixels_are_the_same_on_a_gpu(monkeypatch):
    prepared, rows, gpu = (
        images.prepare("synthetic", DataSource(), 16),
        np.arange(0, 3000, 2),
        "cuda",
    )
    resident = open_pixels(prepared, rows, torch.device(gpu), gpu_share=1.0)
    monkeypatch.setattr(pixels, "fits", lambda *arguments: False)
    streamed = open_pixels(prepared, rows, torch.device(gpu), gpu_share=1.0)
    assert isinstance(streamed, MappedPixels)
    assert isinstance(resident, ResidentPixels)
    for seed in range(20):  # more batches than there are pinned buffers in flight
        indices = torch.randperm(1500, generator=torch.Generator().manual_seed(seed))[:128]
        assert torch.equal(streamed[indices], resident[indices.to(gpu)])
