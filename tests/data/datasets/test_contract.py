"""What holds for every data set, on small files in its published layout."""

import numpy as np
import pytest

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource
from lmd_bench.data.csv_rows import Row
from lmd_bench.data.datasets import load
from lmd_bench.data.datasets._csv import check_ids
from lmd_bench.data.images.prepare import prepare
from tests.data.datasets import layouts

ALL = plugins.names("datasets")
# test_features.py tells of those that hold no images
NAMES = [name for name in ALL if not load(name).card.features]


@pytest.fixture
def root(name, tmp_path):
    layouts.write(load(name), tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("name", NAMES)
def test_every_image_has_one_id_one_label_one_group_and_pixels(name, root):
    dataset = load(name)
    table = dataset.read(root)
    n = len(table)
    assert n >= layouts.PER_CLASS * len(table.class_names) > 0
    assert len(set(table.image_ids)) == len(table.groups) == len(table.labels) == n
    assert set(table.labels.tolist()) == set(range(len(table.class_names)))
    assert dataset.card.class_names in (table.class_names, ())
    assert all(table.groups)
    assert not dataset.missing(root, table).any()
    if name != "folder":  # whose ids are paths
        check_ids(root / "table", [Row(id=image_id) for image_id in table.image_ids], "id")


@pytest.mark.parametrize("name", NAMES)
def test_declared_splits_are_train_val_and_test(name, root):
    splits = load(name).read(root).splits
    assert splits is None or set(splits) == {"train", "val", "test"}


@pytest.mark.parametrize("name", NAMES)
def test_images_are_prepared_in_the_order_of_the_table(name, root):
    prepared = prepare(name, DataSource(root), 16)
    assert prepared.table.image_ids == load(name).read(root).image_ids
    pixels = prepared.read(np.array([0, len(prepared.table) - 1]))
    assert pixels.shape == (2, 16, 16, 3)
    assert pixels.any()


@pytest.mark.parametrize("name", [n for n in ALL if load(n).card.downloads])
def test_an_absent_folder_is_an_error_that_says_how_to_get_the_files(name, tmp_path):
    dataset = load(name)
    with pytest.raises(UserError) as error:
        dataset.read(tmp_path / "nowhere")
    assert dataset.card.how_to_get in str(error.value)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("folder", "synthetic")])
def test_an_empty_folder_is_an_error_that_names_it(name, tmp_path):
    with pytest.raises(UserError, match=str(tmp_path)):
        load(name).read(tmp_path)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "folder"])
def test_a_csv_of_ones_own_describes_a_folder_alone(name, tmp_path):
    from lmd_bench.core.schema import TableColumns

    with pytest.raises(UserError, match="--dataset folder"):
        load(name, TableColumns(tmp_path / "x.csv", "image", "label"))
