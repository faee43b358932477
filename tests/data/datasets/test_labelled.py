"""PBC and Chula RBC-12: a list of labels beside a folder of images, or a folder a class."""

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.data.datasets import load
from lmd_bench.data.tasks.protocols import cut
from tests.data.datasets.layouts import write_image


def test_pbc_is_read_as_it_is_published_a_folder_a_class(tmp_path):
    for name in load("pbc").card.class_names:
        write_image(tmp_path / "PBC_dataset_normal_DIB" / name / f"{name[:2].upper()}_1.jpg")
    table = load("pbc_acevedo").read(tmp_path)
    assert table.image_ids == ("BA_1", "EO_1", "ER_1", "IG_1", "LY_1", "MO_1", "NE_1", "PL_1")
    assert table.labels.tolist() == list(range(8))
    assert not load("pbc").missing(tmp_path, table).any()


def test_pbc_is_read_without_the_file_of_its_archive_that_is_no_image(tmp_path):
    for name in load("pbc").card.class_names:
        write_image(tmp_path / "PBC_dataset_normal_DIB" / name / f"{name[:2].upper()}_1.jpg")
    (tmp_path / "PBC_dataset_normal_DIB" / "neutrophil" / ".DS_169665.jpg").write_bytes(b"Bud1")
    table = load("pbc").read(tmp_path)
    assert len(table) == 8
    assert not any(image_id.startswith(".") for image_id in table.image_ids)
    # as BloodMNIST, which is made of the same images
    assert load("pbc").card.expected_counts == load("bloodmnist").card.expected_counts
    assert sum(load("pbc").card.expected_counts) == 17_092


def test_an_empty_folder_says_how_to_get_the_files(tmp_path):
    with pytest.raises(UserError, match="labels.csv does not exist. Download PBC_dataset_normal"):
        load("pbc").read(tmp_path)


def test_a_cell_is_of_the_group_of_its_smear(tmp_path):
    (tmp_path / "labels.csv").write_text("image,label,group\na.jpg,normal,s1\nb.jpg,teardrop,s1\n")
    table = load("chula").read(tmp_path)
    assert table.image_ids == ("a", "b")
    assert table.groups == ("s1", "s1")
    assert [table.class_names[label] for label in table.labels] == ["normal", "teardrop"]


@pytest.mark.parametrize(
    ("name", "folder", "n_images"),
    [("pbc", "pbc_acevedo", 6144), ("chula_rbc12", "chula_rbc12", 8400)],
)
def test_the_real_files_are_read_and_cut(name, folder, n_images, shared_data):
    root = shared_data / folder
    if not root.is_dir():
        pytest.skip(f"{root} is not here")
    data = load(name)
    table = data.read(root)
    assert len(table) == n_images
    assert not data.missing(root, table).any()
    expected = np.array(data.card.expected_counts)
    counts = np.bincount(table.labels)
    assert (counts == expected).all() if name == "chula_rbc12" else (counts < expected).all()
    split = cut(table, TaskSpec(name, "balanced_v2", 10.0, n_max=150))
    groups = [{table.groups[row] for row in rows} for rows in (split.train, split.val, split.test)]
    assert groups[0].isdisjoint(groups[1] | groups[2])
    assert groups[1].isdisjoint(groups[2])
