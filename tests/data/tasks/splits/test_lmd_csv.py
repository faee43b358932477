import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.data.tasks.splits.find import read_published
from lmd_bench.data.tasks.splits.lmd_csv import read_lmd

FILES = ("training.csv", "validation.csv", "testing.csv")


def write(folder, header, *lines):
    for name, line in zip(FILES, lines, strict=True):
        (folder / name).write_text(f"{header}\n{line}\n")
    return folder


def test_one_hot_files_give_ids_and_classes(tmp_path):
    write(tmp_path, "image,A,B", "i1,1.0,0.0", "i2,0,1", "i3,0,1")
    images = read_lmd(tmp_path).images
    assert [(i.name, i.split, i.label) for i in images] == [
        ("i1", "train", "A"),
        ("i2", "val", "B"),
        ("i3", "test", "B"),
    ]


def test_the_layout_of_hyper_kvasir_names_the_class_in_finding(tmp_path):
    header = "Video file,Organ,Finding,Classification,labels"
    write(tmp_path, header, "a,Lower,cecum,x,4", "b,Lower,ileum,x,10", "c,Lower,cecum,x,4")
    assert [(i.name, i.label) for i in read_lmd(tmp_path).images] == [
        ("a", "cecum"),
        ("b", "ileum"),
        ("c", "cecum"),
    ]


def test_a_row_of_two_classes_is_refused_with_its_line(tmp_path):
    write(tmp_path, "image,A,B", "i1,1,0", "i2,1,1", "i3,0,1")
    with pytest.raises(UserError, match=r"validation.csv, line 2: image i2 is of 2 classes"):
        read_lmd(tmp_path)


def test_other_columns_are_refused_by_name(tmp_path):
    write(tmp_path, "what,A", "i1,1", "i2,1", "i3,1")
    with pytest.raises(UserError, match="has the columns what, A; a split has `image`"):
        read_lmd(tmp_path)


@pytest.mark.parametrize(
    ("header", "line", "label"),
    [
        ("image,label", "i1.png,nv", "nv"),
        ("image_id;dx", "i1.png;nv", "nv"),
        ("id_code\tdiagnosis", "i1.png\tnv", "nv"),
        ("image,level", "i1.png,4", "4"),
        ("Path,Age", "i1.png,4", None),
        ("filename", "i1.png", None),
        ("label,file_name", "nv,i1.png", "nv"),
        ("i1.png,nv", "i1.png,nv", "nv"),
    ],
)
def test_columns_may_be_called_otherwise_or_not_at_all(tmp_path, header, line, label):
    write(tmp_path, header, line, line, line)
    read = {(i.name, i.label) for i in read_published(tmp_path, 0).images}
    assert read == {("i1.png", label)}


def test_a_file_that_is_not_text_is_refused(tmp_path):
    write(tmp_path, "image,A", "i1,1", "i2,1", "i3,1")
    (tmp_path / "testing.csv").write_bytes(b"image,A\n\xff\xfe,1\n")
    with pytest.raises(UserError, match=r"testing.csv is not UTF-8 text"):
        read_lmd(tmp_path)


@pytest.mark.parametrize(
    ("name", "counts", "n_classes"),
    [
        ("ISIC2019LT", (16170, 2313, 4621), 8),
        ("ISIC_Archive", (17508, 2509, 5003), 14),
        ("hyper-kvasir", (8528, 1067, 1067), 23),
    ],
)
def test_the_published_files_have_their_counts(shared_data, name, counts, n_classes):
    images = read_lmd(shared_data / "lmd_splits" / name).images
    of = [image.split for image in images]
    assert (of.count("train"), of.count("val"), of.count("test")) == counts
    assert len({image.label for image in images}) == n_classes
