import numpy as np
import pytest
from PIL import Image

from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets import load

HEADER = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"
ROWS = "I_0,0.0,1.0,0,0,0,0,0,0,0.0\nI_1_downsampled,1.0,0,0,0,0,0,0,0,0\nI_2,0,1,0,0,0,0,0,0,0\n"
METADATA = "image,age_approx,anatom_site_general,lesion_id,sex\n"
LESIONS = "I_2,,,L_1,\nI_1_downsampled,,,,\nI_0,,,L_1,\n"


def write(root, rows=ROWS, lesions=LESIONS):
    (root / "ISIC_2019_Training_GroundTruth.csv").write_text(HEADER + rows)
    (root / "ISIC_2019_Training_Metadata.csv").write_text(METADATA + lesions)
    return root


def test_table_keeps_the_order_of_the_ground_truth_and_takes_lesions_by_id(tmp_path):
    table = load("isic2019").read(write(tmp_path))
    assert table.image_ids == ("I_0", "I_1_downsampled", "I_2")
    assert [table.class_names[label] for label in table.labels] == ["NV", "MEL", "NV"]
    assert table.groups == ("L_1", "image:I_1_downsampled", "L_1")


def test_classes_are_the_columns_without_unk(tmp_path):
    names = load("isic2019").read(write(tmp_path)).class_names
    assert names == ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")


def test_images_are_found_in_the_input_folder_even_when_it_was_nested_by_unzipping(tmp_path):
    dataset = load("isic2019")
    table = dataset.read(write(tmp_path))
    folder = tmp_path / "ISIC_2019_Training_Input" / "ISIC_2019_Training_Input"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "I_0.jpg")
    assert dataset.missing(tmp_path, table).tolist() == [False, True, True]


def test_an_image_from_the_archive_itself_lacks_the_ending_of_a_reduced_one(tmp_path):
    dataset = load("isic2019")
    table = dataset.read(write(tmp_path))
    (tmp_path / "ISIC_2019_Training_Input").mkdir()
    for name in ("I_1", "I_2"):
        Image.new("RGB", (8, 8)).save(tmp_path / "ISIC_2019_Training_Input" / f"{name}.jpg")
    assert dataset.missing(tmp_path, table).tolist() == [True, False, False]


@pytest.mark.parametrize(
    "row", ["I_0,0,0,0,0,0,0,0,0,1", "I_0,1,1,0,0,0,0,0,0,0", "I_0,1,x,0,0,0,0,0,0,0"]
)
def test_a_row_without_exactly_one_class_is_refused(tmp_path, row):
    with pytest.raises(UserError, match="line 2: image I_0 has .*; exactly one class must be 1"):
        load("isic2019").read(write(tmp_path, row + "\n"))


def test_an_image_that_the_metadata_do_not_list_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not list image I_0 and 0 more"):
        load("isic2019").read(write(tmp_path, lesions="I_2,,,L_1,\nI_1_downsampled,,,,\n"))


def test_isic_is_another_name_of_isic2019():
    assert load("isic").card.name == "isic2019"


def test_an_absent_folder_says_what_to_download_and_where_to_put_it():
    with pytest.raises(
        UserError, match=r"Download ISIC_2019_Training_Input.zip.*\$LMD_BENCH_DATA/isic2019"
    ):
        load("isic").read(None)


def test_the_real_tables_have_the_published_counts(shared_data):
    root = shared_data / "isic2019"
    dataset = load("isic2019")
    table = dataset.read(root)
    assert tuple(np.bincount(table.labels)) == dataset.card.expected_counts
    present = ~dataset.missing(root, table)
    # What HAM10000 contributed, in the order MEL, NV, BCC, AK, BKL, DF, VASC, SCC.
    assert np.bincount(table.labels[present]).tolist() == [
        1113,
        6705,
        514,
        130,
        1099,
        115,
        142,
        197,
    ]
