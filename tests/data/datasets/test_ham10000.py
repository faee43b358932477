from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets import load

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
ROWS = "HAM_1,ISIC_1,nv,,,,\nHAM_1,ISIC_2,nv,,,,\nHAM_2,ISIC_3,mel,,,,\n"


def write(root, text=HEADER + ROWS, encoding="utf-8"):
    (root / "HAM10000_metadata.csv").write_text(text, encoding=encoding)
    return root


def add_image(folder, image_id):
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (8, 6)).save(folder / f"{image_id}.jpg")


def test_table_has_the_rows_of_the_csv_in_order_with_lesions_as_groups(tmp_path):
    table = load("ham10000").read(write(tmp_path))
    assert table.image_ids == ("ISIC_1", "ISIC_2", "ISIC_3")
    assert [table.class_names[label] for label in table.labels] == ["nv", "nv", "mel"]
    assert table.groups == ("HAM_1", "HAM_1", "HAM_2")


def test_images_are_found_in_both_parts_and_in_root_and_absent_ones_are_missing(tmp_path):
    dataset = load("ham10000")
    table = dataset.read(write(tmp_path))
    add_image(tmp_path / "HAM10000_images_part_2", "ISIC_1")
    add_image(tmp_path, "ISIC_3")
    assert dataset.missing(tmp_path, table).tolist() == [False, True, False]
    assert dataset.paths(tmp_path, table)[1] is None


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path):
    table = load("ham10000").read(write(tmp_path, encoding="utf-8-sig"))
    assert table.groups[0] == "HAM_1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEADER + "HAM_1,ISIC_1,zz,,,,\n", r"line 2: unknown label 'zz'; allowed are akiec, bcc"),
        ("image_id,age\nISIC_1,3\n", r"lacks the column lesion_id, dx; .* has image_id, age:"),
        ("", r"lacks the column image_id, lesion_id, dx; .* has nothing:"),
        (HEADER, r"lists no image"),
        (
            HEADER + ROWS + "HAM_9,ISIC_2,nv,,,,\n",
            r"line 5: image ISIC_2 was listed before, on line 3",
        ),
        (HEADER + "HAM_1,../ISIC_1,nv,,,,\n", r"line 2: the image id '../ISIC_1' is not allowed"),
        (
            HEADER + "HAM_1,/etc/ISIC_1,nv,,,,\n",
            r"line 2: the image id '/etc/ISIC_1' is not allowed",
        ),
        (HEADER + "HAM_1,..,nv,,,,\n", r"line 2: the image id '..' is not allowed"),
        (HEADER + "HAM_1,,nv,,,,\n", r"line 2: the image id '' is not allowed"),
        (HEADER + "HAM_1,ISIC_1,nv\n", r"line 2: 3 values where the header has 7"),
    ],
)
def test_a_faulty_csv_is_refused_with_what_came(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        load("ham10000").read(write(tmp_path, text))


def test_a_csv_that_is_not_utf8_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load("ham10000").read(write(tmp_path, HEADER + "é", encoding="latin-1"))


@pytest.mark.parametrize("root", [None, Path("nowhere")])
def test_an_absent_folder_says_what_to_download_and_where_to_put_it(root):
    with pytest.raises(
        UserError, match=r"Download HAM10000_metadata.*--data-root.*\$LMD_BENCH_DATA/ham10000"
    ):
        load("ham10000").read(root)


def test_an_absent_csv_says_what_to_download(tmp_path):
    with pytest.raises(UserError, match="HAM10000_metadata.csv does not exist. Download"):
        load("ham10000").read(tmp_path)


def as_dataverse(root):
    (root / "HAM10000_metadata").write_text(HEADER + ROWS)


def as_tab(root):
    text = (HEADER + ROWS).replace(",", "\t").replace("HAM_1", '"HAM_1"')
    (root / "HAM10000_metadata.tab").write_text(text)


def as_challenge(root):
    folder = root / "ISIC2018_Task3_Training_GroundTruth"
    folder.mkdir()
    lines = ["image,MEL,NV,BCC,AKIEC,BKL,DF,VASC", "ISIC_1,0,1,0,0,0,0,0"]
    lines += ["ISIC_2,0.0,1.0,0,0,0,0,0", "ISIC_3,1,0,0,0,0,0,0"]
    (folder / f"{folder.name}.csv").write_text("\n".join(lines))
    lesions = "image,lesion_id,diagnosis_confirm_type\n"
    lesions += "".join(f"ISIC_{i},HAM_{1 + i // 3},histo\n" for i in (1, 2, 3))
    (root / "ISIC2018_Task3_Training_LesionGroupings.csv").write_text(lesions)


@pytest.mark.parametrize("write_list", [as_dataverse, as_tab, as_challenge])
@pytest.mark.parametrize(
    "folder",
    [
        *("HAM10000_images_part_1", "ham10000_images_part_2", "."),
        "HAM10000_images_part_1/HAM10000_images_part_1",
        "ISIC2018_Task3_Training_Input",
    ],
)
def test_every_layout_that_is_published_is_read(tmp_path, write_list, folder):
    write_list(tmp_path)
    dataset = load("ham10000")
    table = dataset.read(tmp_path)
    assert table.image_ids == ("ISIC_1", "ISIC_2", "ISIC_3")
    assert [table.class_names[label] for label in table.labels] == ["nv", "nv", "mel"]
    assert table.groups == ("HAM_1", "HAM_1", "HAM_2")
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    add_image(tmp_path / folder, "ISIC_2")
    assert dataset.missing(tmp_path, table).tolist() == [True, False, True]


def test_separate_test_images_are_those_of_isic2018_and_no_part_of_ham10000(tmp_path):
    test = "HAMTEST_1,ISIC_9,nv,,,,\n"
    (write(tmp_path) / "ISIC2018_Task3_Test_GroundTruth.csv").write_text(HEADER + test)
    assert len(load("ham10000").read(tmp_path)) == 3
    assert "--dataset isic2018" in load("ham10000").notes(tmp_path)[0]
    table = load("isic2018").read(tmp_path)
    assert table.splits == ("train", "train", "train", "test")
    assert table.groups[3] == "HAMTEST_1"
    add_image(tmp_path / "ISIC2018_Task3_Test_Images", "ISIC_9")
    assert load("isic2018").missing(tmp_path, table).tolist() == [True, True, True, False]


def test_an_image_in_train_and_test_of_isic2018_is_refused(tmp_path):
    (write(tmp_path) / "ISIC2018_Task3_Test_GroundTruth.csv").write_text(HEADER + ROWS)
    with pytest.raises(UserError, match="lists image ISIC_1, which an earlier part holds"):
        load("isic2018").read(tmp_path)


def test_the_real_data_have_the_published_counts_and_lesions(shared_data):
    root = shared_data / "ham10000"
    dataset = load("ham10000")
    table = dataset.read(root)
    assert tuple(np.bincount(table.labels)) == dataset.card.expected_counts
    assert len(set(table.groups)) == 7470
    assert not dataset.missing(root, table).any()
