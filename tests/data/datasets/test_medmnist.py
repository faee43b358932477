import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data.datasets import load
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.tasks.task import build_task, open_test
from tests.data.datasets.layouts import write_npz


def test_the_official_split_is_that_of_the_file(tmp_path):
    write_npz(tmp_path / "breastmnist.npz", 2, channels=())
    table = load("breastmnist").read(tmp_path)
    assert table.splits == ("train",) * 4 + ("val",) * 4 + ("test",) * 4
    assert table.image_ids[4] == "val-000000"
    task = build_task(table, TaskSpec("breastmnist", "official"), "x")
    assert open_test(table, task, "x").tolist() == [8, 9, 10, 11]


def test_pixels_are_those_of_the_file_and_grey_gets_three_equal_channels(tmp_path):
    write_npz(tmp_path / "breastmnist.npz", 2, channels=())
    prepared = prepare("breastmnist", DataSource(tmp_path), 28)
    pixels = prepared.read(np.array([5]))[0]
    raw = np.load(tmp_path / "breastmnist.npz")["val_images"][1]
    assert all(np.array_equal(pixels[..., channel], raw) for channel in range(3))


def test_the_smallest_file_that_is_as_large_as_asked_for_is_taken(tmp_path):
    write_npz(tmp_path / "dermamnist.npz", 7)
    write_npz(tmp_path / "dermamnist_64.npz", 7, side=64)
    dataset = load("dermamnist")
    assert next(dataset.stream(tmp_path, 32)).shape == (14, 32, 32, 3)
    with pytest.raises(UserError, match="holds 64 px; download dermamnist_128.npz or"):
        dataset.stream(tmp_path, 65)


def test_files_with_different_labels_are_refused(tmp_path):
    write_npz(tmp_path / "dermamnist.npz", 7)
    write_npz(tmp_path / "dermamnist_64.npz", 6, side=64)
    with pytest.raises(UserError, match="hold different labels"):
        load("dermamnist").stream(tmp_path, 64)


def test_a_label_outside_the_classes_is_named(tmp_path):
    write_npz(tmp_path / "breastmnist.npz", 3)
    with pytest.raises(UserError, match="row 4 of train_labels: unknown label 2"):
        load("breastmnist").read(tmp_path)


def test_the_multi_label_member_is_refused_with_its_reason():
    with pytest.raises(UserError, match="up to 14 labels at once"):
        load("chestmnist")


def test_pickled_objects_are_refused_unread(tmp_path):
    file = tmp_path / "breastmnist.npz"
    np.savez(file, train_labels=np.array([{"a": 1}, None], dtype=object))
    with pytest.raises(UserError, match="train_labels is no plain array"):
        load("breastmnist").read(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 0.9])
def test_a_file_cut_short_is_refused(tmp_path, keep):
    file = tmp_path / "breastmnist.npz"
    write_npz(file, 2)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(UserError, match="cannot be read"):
        load("breastmnist").read(tmp_path)


def test_images_of_another_shape_are_refused(tmp_path):
    write_npz(tmp_path / "breastmnist.npz", 2, side=30)
    with pytest.raises(UserError, match="not uint8 of"):
        prepare("breastmnist", DataSource(tmp_path), 28)


def test_rare_classes_are_left_out_of_a_stream(tmp_path):
    write_npz(tmp_path / "breastmnist.npz", 2)
    file = tmp_path / "breastmnist.npz"
    arrays = dict(np.load(file))
    arrays["train_labels"] = np.zeros_like(arrays["train_labels"])
    arrays["val_labels"] = np.zeros_like(arrays["val_labels"])
    np.savez(file, **arrays)
    with pytest.raises(UserError, match="Only 1 class has 5 images or more"):
        prepare("breastmnist", DataSource(tmp_path, rare_classes="drop", rare_below=5), 28)


def test_a_stream_leaves_out_the_images_of_dropped_classes(tmp_path):
    file = tmp_path / "retinamnist.npz"
    write_npz(file, 5)
    arrays = dict(np.load(file))
    for split in ("train", "val"):
        arrays[f"{split}_labels"][-2:] = 0  # two images of class 4 are left, in test
    np.savez(file, **arrays)
    prepared = prepare("retinamnist", DataSource(tmp_path, rare_classes="drop", rare_below=5), 28)
    assert len(prepared.table.class_names) == 4
    assert len(prepared.table) == 28
    assert np.array_equal(prepared.read(np.array([27]))[0], arrays["test_images"][7])
