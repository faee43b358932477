"""What holds for every data set, on small files in its published layout."""

import pytest

from lmd_bench.contract import dataset
from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource
from lmd_bench.data.csv_rows import Row
from lmd_bench.data.datasets import load
from lmd_bench.data.datasets._archived import Archived
from lmd_bench.data.datasets._csv import check_ids
from tests.data.datasets import layouts

ALL = plugins.names("datasets")
# test_features.py tells of those that hold no images
NAMES = [name for name in ALL if not load(name).card.features]
ARCHIVED = [name for name in ALL if isinstance(load(name), Archived)]


@pytest.fixture
def root(name, tmp_path):
    layouts.write(load(name), tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", dataset.CHECKS, ids=lambda check: check.__name__)
def test_every_data_set_keeps_the_contract(check, name, root):
    check(name, DataSource(root))


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in ("folder", "webdataset")]
)  # ids are paths
def test_ids_are_plain_file_names(name, root):
    rows = [Row(id=image_id) for image_id in load(name).read(root).image_ids]
    check_ids(root / "table", rows, "id")


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


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("folder", *ARCHIVED)])
def test_a_csv_of_ones_own_describes_a_folder_alone(name, tmp_path):
    from lmd_bench.core.schema import TableColumns

    with pytest.raises(UserError, match="--dataset folder"):
        load(name, TableColumns(tmp_path / "x.csv", "image", "label"))
