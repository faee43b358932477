from dataclasses import dataclass, replace

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.protocols import cut
from lmd_bench.data.tasks.task import build_task, open_test

SPEC = TaskSpec("made", "official")
LISTED = {"training": [0, 1, 4, 5], "validation": [2, 6], "testing": [3, 7]}


@dataclass(frozen=True)
class Declared(ImageTable):
    splits: tuple[str, ...] | None = None


def make_table(kind=ImageTable, **fields):
    """Images i0 to i8: four of class a, four of b, and one of a that no split lists."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0], dtype=np.int64)
    ids = tuple(f"i{row}" for row in range(9))
    return kind(ids, labels, ids, ("a", "b"), **fields)


def write(folder, listed=LISTED, name="i{}"):
    for file, rows in listed.items():
        lines = [f"{name.format(row)},{int(row < 4)},{int(row >= 4)}" for row in rows]
        (folder / f"{file}.csv").write_text("\n".join(["image,a,b", *lines]))
    return DataSource(split_dir=folder)


def rows_of(split):
    return [split.train.tolist(), split.val.tolist(), split.test.tolist()]


def test_the_published_images_are_matched_by_id_and_others_are_left_out(tmp_path):
    split = cut(make_table(), SPEC, write(tmp_path))
    assert rows_of(split) == [[0, 1, 4, 5], [2, 6], [3, 7]]


@pytest.mark.parametrize("name", ["i{}.jpg", "train/i{}.JPG", "C:\\data\\i{}.png"])
def test_file_names_and_paths_match_the_ids_they_end_in(tmp_path, name):
    split = cut(make_table(), SPEC, write(tmp_path, name=name))
    assert rows_of(split) == [[0, 1, 4, 5], [2, 6], [3, 7]]


def listed(folder, names):
    """Write a list of one image each for train, val and test."""
    for split, name in zip(("train", "val", "test"), names, strict=True):
        (folder / f"{split}.txt").write_text(f"{name}\n")
    return DataSource(split_dir=folder)


def table_with(*ids):
    return ImageTable(ids, np.arange(len(ids)) % 2, ids, ("a", "b"))


def test_a_path_names_the_image_that_ends_alike(tmp_path):
    table = table_with("a/1", "b/1", "b/2")
    split = cut(table, SPEC, listed(tmp_path, ["train/a/1.png", "b/1.webp", "2.JPG"]))
    assert rows_of(split) == [[0], [1], [2]]


def test_a_list_whose_folder_contradicts_the_image_is_refused(tmp_path):
    source = listed(tmp_path, ["a/1.png", "a/2.png", "b/3.png"])
    with pytest.raises(UserError, match="first a/2.png; an image of this name lies in .*, b/2:"):
        cut(table_with("a/1", "b/2", "b/3"), SPEC, replace(source, allow_missing=False))


def test_a_bare_name_of_two_images_names_neither(tmp_path):
    with pytest.raises(UserError, match=r"first 1.png; it could be a/1 and b/1: name images by"):
        cut(table_with("a/1", "b/1", "a/2"), SPEC, listed(tmp_path, ["1.png", "b/1.png", "2"]))


def test_names_that_look_alike_are_one(tmp_path):
    composed, parted = "n\u00e4vus", "na\u0308vus"
    table = table_with(f"{parted}/1", "a/ 2 ", "ISIC_3_downsampled")
    source = listed(tmp_path, [f"{composed}/1.png", "a/2.png", "ISIC_3.jpg"])
    assert rows_of(cut(table, SPEC, source)) == [[0], [1], [2]]


def test_a_list_of_both_names_of_an_isic_image_means_two_files(tmp_path):
    table = table_with("a", "ISIC_3_downsampled", "c", "d")
    source = listed(tmp_path, ["a", "ISIC_3_downsampled.jpg\nISIC_3.jpg", "c"])
    with pytest.raises(UserError, match="1 of 4 images .* first ISIC_3.jpg; complete"):
        cut(table, SPEC, source)
    assert rows_of(cut(table, SPEC, replace(source, allow_missing=True))) == [[0], [1], [2]]


def test_advice_on_absent_classes_names_the_number_that_parts_them(tmp_path):
    labels = np.repeat(np.arange(3), [30, 20, 5])
    ids = tuple(f"i{row}" for row in range(55))
    table = ImageTable(ids, labels, ids, ("a", "b", "c"))
    for split, rows in (("train", [0, 30]), ("val", [1, 31]), ("test", [2, 32])):
        (tmp_path / f"{split}.txt").write_text("".join(f"i{row}\n" for row in rows))
    with pytest.raises(UserError, match="Class c has no .* drop --rare-below 20, or take another"):
        build_task(table, SPEC, "x", DataSource(split_dir=tmp_path))


def test_a_task_and_its_test_need_the_same_split_files(tmp_path):
    table, source = make_table(), write(tmp_path)
    task = build_task(table, SPEC, "data", source)
    assert open_test(table, task, "data", source).tolist() == [3, 7]
    write(tmp_path, LISTED | {"testing": [3]})
    with pytest.raises(UserError, match="images or split files differ"):
        open_test(table, task, "data", source)


def test_images_that_are_not_present_are_refused_with_counts_unless_allowed(tmp_path):
    source = write(tmp_path, LISTED | {"testing": [3, 7, 90, 91], "validation": [2, 6, 92]})
    with pytest.raises(
        UserError, match=r"3 of 11 .*\(train 0, val 1, test 2\), first i92"
    ) as error:
        cut(make_table(), SPEC, source)
    assert "--allow-missing goes on" in str(error.value)
    split = cut(make_table(), SPEC, replace(source, allow_missing=True))
    assert rows_of(split) == [[0, 1, 4, 5], [2, 6], [3, 7]]


def test_the_split_of_another_data_set_is_refused_even_if_images_may_be_missing(tmp_path):
    source = replace(write(tmp_path, name="other{}"), allow_missing=True)
    with pytest.raises(UserError, match="8 of 8 .* this is the split of another data set"):
        cut(make_table(), SPEC, source)


def test_an_image_in_two_splits_is_refused(tmp_path):
    source = write(tmp_path, LISTED | {"testing": [0, 7]})
    with pytest.raises(UserError, match="lists image i0 twice, in train and in test"):
        cut(make_table(), SPEC, source)


def test_a_class_that_disagrees_with_the_data_is_refused_by_image(tmp_path):
    source = write(tmp_path)
    (tmp_path / "testing.csv").write_text("image,a,b\ni3,1,0\ni7,1,0")
    with pytest.raises(UserError, match="1 of 8 images another class .* first i7: a there, b here"):
        cut(make_table(), SPEC, source)


def test_a_split_may_spell_its_classes_in_its_own_way(tmp_path):
    source = write(tmp_path)
    for file in LISTED:
        text = (tmp_path / f"{file}.csv").read_text()
        (tmp_path / f"{file}.csv").write_text(text.replace("image,a,b", "image,Alpha,Beta"))
    assert rows_of(cut(make_table(), SPEC, source)) == [[0, 1, 4, 5], [2, 6], [3, 7]]


def test_without_a_folder_the_splits_that_the_data_declare_are_used():
    splits = ("train", "train", "val", "test", "train", "train", "val", "test", "")
    table = make_table(Declared, splits=splits)
    assert rows_of(cut(table, SPEC)) == [[0, 1, 4, 5], [2, 6], [3, 7]]


def test_a_folder_goes_before_what_the_data_declare(tmp_path):
    table = make_table(Declared, splits=("train",) * 9)
    assert rows_of(cut(table, SPEC, write(tmp_path)))[2] == [3, 7]


def test_data_without_splits_and_no_folder_are_an_error():
    with pytest.raises(UserError, match="'made' declares no official split; name a folder"):
        cut(make_table(), SPEC)


def test_a_split_without_val_gives_a_fifth_of_each_class_of_train_by_group():
    labels = np.repeat([0, 1], [40, 20]).astype(np.int64)
    ids = tuple(f"i{row}" for row in range(60))
    groups = tuple(f"g{row // 2}" for row in range(60))
    splits = ("train",) * 30 + ("test",) * 10 + ("train",) * 10 + ("test",) * 10
    table = Declared(ids, labels, groups, ("a", "b"), splits=splits)
    split = cut(table, replace(SPEC, split_seed=3))
    assert np.bincount(labels[split.val]).tolist() == [6, 2]
    assert np.bincount(labels[split.train]).tolist() == [24, 8]
    held_out = {groups[row] for row in split.val}
    assert held_out.isdisjoint(groups[row] for row in split.train)
    assert set(cut(table, SPEC).val) != set(split.val)


@pytest.mark.parametrize("change", [{"imbalance_factor": 100.0}, {"n_max": 50}])
def test_a_published_split_is_not_thinned(tmp_path, change):
    with pytest.raises(UserError, match="without --imbalance-factor or --n-max"):
        cut(make_table(), replace(SPEC, **change), write(tmp_path))


def test_a_fixed_split_refuses_a_split_seed(tmp_path):
    with pytest.raises(UserError, match="--split-seed 7 would give it a second name"):
        cut(make_table(), replace(SPEC, split_seed=7), write(tmp_path))


def test_a_split_folder_with_another_protocol_is_refused(tmp_path):
    with pytest.raises(UserError, match="--split-dir is for protocol 'official', but .*'balanced'"):
        cut(make_table(), replace(SPEC, protocol="balanced"), write(tmp_path))


def test_official_and_lmd_with_seed_42_and_factor_100_are_one_task_on_isic_2019(shared_data):
    from lmd_bench.data.datasets import load

    table = load("isic2019").read(shared_data / "isic2019")
    source = DataSource(split_dir=shared_data / "lmd_splits" / "ISIC2019LT")
    published = build_task(table, TaskSpec("isic2019", "official"), "data", source)
    drawn = build_task(table, TaskSpec("isic2019", "lmd", 100.0, split_seed=42), "data")
    assert published.fingerprint == drawn.fingerprint


def test_the_official_folds_cut_hyper_kvasir_with_every_class_in_train_val_and_test(shared_data):
    import csv

    folder = shared_data / "hyper_kvasir"
    with (folder / "5_fold_split.csv").open() as stream:
        listed = list(csv.DictReader(stream, delimiter=";"))
    names = tuple(sorted({row["class-name"] for row in listed}))
    ids = tuple(row["file-name"].removesuffix(".jpg") for row in listed)
    labels = np.array([names.index(row["class-name"]) for row in listed], dtype=np.int64)
    table = ImageTable(ids, labels, ids, names)
    for n_folds in (2, 5):
        source = DataSource(split_dir=folder / f"{n_folds}_fold_split.csv")
        split = cut(table, TaskSpec("hyper_kvasir", "official"), source)
        for rows in (split.train, split.val, split.test):
            assert set(labels[rows]) == set(range(23))
