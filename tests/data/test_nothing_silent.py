"""What a person's data hold and a task leaves out is counted and said, or refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lmd_bench.cli import app
from lmd_bench.core import machine as hardware
from lmd_bench.core.errors import UserError
from lmd_bench.core.options import from_keywords
from lmd_bench.core.schema import DataSource, TableColumns, TaskSpec
from lmd_bench.data.build import source_notes
from lmd_bench.data.datasets import load
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.options import DataOptions
from lmd_bench.data.tasks.protocols import cut
from lmd_bench.data.tasks.task import build_task, open_test
from tests.data.datasets.layouts import write_image

OFFICIAL = TaskSpec("folder", "official", image_size=8)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(hardware, "n_cores", lambda: 1)


def tree(root: Path, *folders: str, n: int = 2, ending: str = "png") -> Path:
    for folder in folders:
        for i in range(n):
            write_image(root / folder / f"{i}.{ending}", value=hash((folder, i)) % 200)
    return root


def listed(root: Path, lines: list[str], **columns: str) -> TableColumns:
    file = root / "list.csv"
    file.write_text("\n".join(["file,dx,patient,part", *lines]))
    for line in lines:
        write_image(root / f"{line.partition(',')[0]}.png")
    return TableColumns(file, "file", "dx", **columns)


def check(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", "--dataset", "folder", *arguments])
    if isinstance(result.exception, UserError):
        return 2, str(result.exception)
    return result.exit_code, " ".join(result.output.split())


def test_declared_test_images_never_train_a_model(tmp_path):
    lines = [f"{i},{'ab'[i % 2]},,{'test' if i < 20 else 'train'}" for i in range(60)]
    table = load("folder", listed(tmp_path, lines, split_column="part")).read(tmp_path)

    for protocol in ("balanced", "balanced_v2", "natural", "lmd"):
        with pytest.raises(UserError, match="would mix them; give --protocol official"):
            cut(table, replace(OFFICIAL, protocol=protocol))
    test = cut(table, OFFICIAL).test
    assert {table.image_ids[row] for row in test} == {str(i) for i in range(20)}


def test_prepared_images_remember_that_a_person_declared_the_split(tmp_path):
    lines = [f"{i},{'ab'[i % 2]},,train" for i in range(4)]
    source = DataSource(tmp_path, columns=listed(tmp_path, lines, split_column="part"))
    for _ in range(2):  # the second time from the cache
        assert prepare("folder", source, 8).table.own_splits


def test_train_val_and_test_folders_are_the_split_and_hold_the_classes(tmp_path):
    folders = [f"{s}/{c}" for s in ("Train", "valid", "TEST") for c in ("normal", "ill")]
    table = load("folder").read(tree(tmp_path, *folders))

    assert table.class_names == ("ill", "normal")
    task = build_task(table, OFFICIAL, "x")
    ids = np.array(table.image_ids)
    assert {i.split("/")[0] for i in ids[task.train]} == {"Train"}
    assert {i.split("/")[0] for i in ids[task.val]} == {"valid"}
    assert {i.split("/")[0] for i in ids[open_test(table, task, "x")]} == {"TEST"}
    with pytest.raises(UserError, match="give --protocol official"):
        cut(table, replace(OFFICIAL, protocol="balanced_v2"))


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("Train/a", "Train/b"), "one sub-folder with images, Train, .* name .*Train as"),
        (("images/a", "masks/a"), "images, masks of .* are no classes"),
        (("train/a", "test/a", "extra/a"), "test, train are parts of a split and extra"),
        (("a",), "one sub-folder with images, a, and a task needs two classes"),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path, folders, message):
    with pytest.raises(UserError, match=message):
        load("folder").read(tree(tmp_path, *folders))


def test_a_task_of_one_class_is_refused(tmp_path):
    lines = [f"{i},only,," for i in range(40)]
    table = load("folder", listed(tmp_path, lines)).read(tmp_path)
    with pytest.raises(UserError, match="has one class, only, and a task needs two"):
        cut(table, replace(OFFICIAL, protocol="balanced_v2"))


def test_a_class_folder_that_is_a_link_is_a_class(tmp_path):
    tree(tmp_path / "elsewhere", "c")
    root = tree(tmp_path / "images", "a", "b")
    (root / "c").symlink_to(tmp_path / "elsewhere" / "c")
    (root / "b" / "back").symlink_to(root)  # would go round for ever
    table = load("folder").read(root)
    assert table.class_names == ("a", "b", "c")
    assert len(table) == 6
    assert prepare("folder", DataSource(root), 8).read(np.arange(6)).shape == (6, 8, 8, 3)


@pytest.mark.parametrize("files", [(), ("1.svs", "2.svs")])
def test_a_class_folder_without_a_readable_image_is_refused(tmp_path, files):
    root = tree(tmp_path, "a", "b")
    (root / "c").mkdir()
    for name in files:
        (root / "c" / name).write_bytes(b"x")
    held = "holds 2 files \\(2 .svs\\) but no image" if files else "holds no image"
    with pytest.raises(UserError, match=f"sub-folder c of .* {held}"):
        load("folder").read(root)


def test_folders_that_systems_make_are_no_classes(tmp_path):
    root = tree(tmp_path, "a", "b")
    for name in ("__MACOSX", "@eaDir", ".ipynb_checkpoints"):
        (root / name).mkdir()
    assert load("folder").read(root).class_names == ("a", "b")


@pytest.mark.parametrize("ending", ["gif", "pgm", "ppm", "jp2", "jpe", "jfif", "webp"])
def test_every_ending_that_is_read_is_a_whole_class(tmp_path, ending):
    root = tree(tmp_path, "a", "b")
    tree(root, "c", ending="jpg" if ending in ("jpe", "jfif") else ending)
    for file in (root / "c").iterdir():
        file.rename(file.with_suffix(f".{ending}"))
    prepared = prepare("folder", DataSource(root), 8)
    assert prepared.table.class_names == ("a", "b", "c")
    assert prepared.read(np.arange(6)).shape == (6, 8, 8, 3)


def test_files_that_are_left_out_are_counted(tmp_path):
    root = tree(tmp_path, "a/deep", "b/deep")
    for name in ("1.svs", "2.svs", "notes.txt"):
        (root / "a" / name).write_text("x")
    write_image(root / "b" / "deep" / "0_mask.png")
    (root / "labels.csv").write_text("beside the classes")

    left_out, masks, deep = source_notes(["folder"], DataSource(root))

    assert "3 of 8 files are left out" in left_out
    assert left_out.endswith("2 .svs, 1 .txt")
    assert masks.endswith("called like masks count as images of their class, first 0_mask.png")
    assert "the first level is the class" in deep


@pytest.mark.parametrize("word", ["nan", "NA", "None", "n/a", "NULL", ""])
def test_a_word_for_no_value_is_no_patient(tmp_path, word):
    lines = [f"{i},{'ab'[i % 2]},{word if i < 4 else 'p'}," for i in range(6)]
    table = load("folder", listed(tmp_path, lines, group_column="patient")).read(tmp_path)
    assert table.groups == ("image:0", "image:1", "image:2", "image:3", "p", "p")


def test_a_word_for_no_value_is_no_class_unless_it_is_said_to_be_one(tmp_path):
    columns = listed(tmp_path, ["0,a,,", "1,None,,"])
    with pytest.raises(UserError, match=r"line 3: column dx holds 'None', .* --missing-values"):
        load("folder", columns).read(tmp_path)

    options = {"images_csv": columns.images_csv, "image_column": "file", "label_column": "dx"}
    source = from_keywords(DataOptions, options | {"missing_values": "nan,-"}).source()
    assert source.columns is not None
    assert load("folder", source.columns).read(tmp_path).class_names == ("None", "a")
    assert DataSource.from_payload(source.to_payload()) == source


def test_images_in_no_split_are_counted_and_why(tmp_path):
    lines = [f"{i},{'ab'[i % 2]},p{i // 10}," for i in range(120)]
    columns = listed(tmp_path, lines, group_column="patient")
    data = ["--data-root", str(tmp_path), "--images-csv", str(columns.images_csv)]
    names = ["--image-column", "file", "--label-column", "dx", "--image-size", "8"]

    _, text = check(*data, *names, "--group-column", "patient")

    table = load("folder", columns).read(tmp_path)
    split = cut(table, replace(OFFICIAL, protocol="balanced_v2"))
    n_left = len(table) - len(split.train) - len(split.val) - len(split.test)
    assert n_left > 0
    assert f"{n_left} images in no split, {n_left} of them as others of their group" in text


def test_a_class_folder_that_is_a_link_to_nothing_is_refused(tmp_path):
    root = tree(tmp_path, "a", "b", n=4)
    (root / "c").symlink_to(tmp_path / "gone" / "c")
    with pytest.raises(UserError, match="c is a link to nothing; mend or remove it"):
        load("folder").read(root)


def test_ok_is_not_said_of_groups_that_the_data_do_not_name(tmp_path):
    _, text = check("--data-root", str(tree(tmp_path, "a", "b", n=40)), "--image-size", "8")
    assert "the data name no lesions or patients" in text
    assert "whether one is in two splits is not known" in text
    assert "ok the data name" not in text
    assert "ok no group" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split-dir", "x"], "--split-dir is for protocol 'official'"),
        (["--rare-below", "3"], "--rare-below says which classes --rare-classes"),
        (["--group-column", "g"], "give all three"),
        (["--split-column", "s"], "give all three"),
        (["--missing-values", "-"], "give all three"),
        (["--protocol", "lmd", "--n-max", "9"], "--n-max is for protocol 'balanced'"),
        (["--protocol", "official", "--n-max", "9"], "without --imbalance-factor or --n-max"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(tmp_path, arguments, message):
    root = tree(tmp_path, "a", "b", n=20)
    code, text = check("--data-root", str(root), "--image-size", "8", *arguments)
    assert code == 2
    assert message in text


def test_an_objective_that_no_class_is_in_is_refused(tmp_path):
    root = tree(tmp_path / "raw", "a", "b", n=20)
    line = f"search --dataset folder --data-root {root} --image-size 8 --dry-run"
    with pytest.raises(UserError, match="medium_recall is not defined .* none is medium"):
        app(
            [*line.split(), "--objectives", "balanced_accuracy,medium_recall"],
            standalone_mode=False,
        )
    app([*line.split(), "--objectives", "few_recall"], standalone_mode=False)


def test_a_split_without_test_is_taken_and_said_to_confirm_nothing(tmp_path):
    root = tree(tmp_path, *(f"{s}/{c}" for s in ("train", "val") for c in "ab"), n=20)
    table = load("folder").read(root)
    assert len(cut(table, OFFICIAL).test) == 0
    arguments = ["--data-root", str(root), "--protocol", "official", "--image-size", "8"]

    _, text = check(*arguments)
    assert "the split has no test images: nothing can be confirmed on it" in text
    search = ["search", "--dataset", "folder", *arguments, "--dry-run"]
    with pytest.raises(UserError, match="nothing can be confirmed; give --confirm-seeds 0 .*or"):
        app(search, standalone_mode=False)
    app([*search, "--confirm-seeds", "0"], standalone_mode=False)
    app([*search, "--hold-out-test", "0.2"], standalone_mode=False)


def test_a_test_set_is_held_out_of_train_by_group(tmp_path):
    lines = [f"{i},{'ab'[i % 2]},p{i // 8},{'val' if i < 16 else 'train'}" for i in range(120)]
    columns = listed(tmp_path, lines, group_column="patient", split_column="part")
    table = load("folder", columns).read(tmp_path)
    whole, held = (cut(table, OFFICIAL, DataSource(hold_out_test=h)) for h in (None, 0.25))

    assert held.val.tolist() == whole.val.tolist()
    assert sorted([*held.train, *held.test]) == whole.train.tolist()
    counts = np.bincount(table.labels[held.test])
    assert (counts >= 13).all()  # a quarter of 52, up to whole patients
    assert (counts <= 16).all()
    groups = [{table.groups[row] for row in rows} for rows in (held.train, held.test)]
    assert groups[0].isdisjoint(groups[1])


def test_a_test_set_is_held_out_only_where_there_is_none(tmp_path):
    lines = [f"{i},{'ab'[i % 2]},,{'test' if i < 8 else 'train'}" for i in range(40)]
    table = load("folder", listed(tmp_path, lines, split_column="part")).read(tmp_path)
    source = DataSource(hold_out_test=0.2)
    with pytest.raises(UserError, match="has 8 test images, so none are held out"):
        cut(table, OFFICIAL, source)
    with pytest.raises(UserError, match="--hold-out-test is for protocol 'official'"):
        cut(replace(table, own_splits=False), TaskSpec("folder", "balanced_v2"), source)


def notes(root: Path, columns: TableColumns | None = None) -> str:
    return " ".join(source_notes(["folder"], DataSource(root, columns=columns)))


def test_a_split_is_not_called_the_class(tmp_path):
    root = tree(tmp_path, *(f"{s}/{c}" for s in ("train", "val", "test") for c in "ab"))
    assert "is the class" not in notes(root)
    for name in "ab":
        tree(root / "val", f"{name}/more")
    assert "folders deep" not in notes(root)
    assert "all images lie 2 folders deep" in notes(tree(tmp_path / "x", "a/more", "b/more"))


def test_a_patient_that_may_stand_for_none_is_said(tmp_path):
    lines = [f"{i},{'ab'[i % 2]},{f'p{i // 2}' if i < 40 else 'unknown'}," for i in range(60)]
    columns = listed(tmp_path, lines, group_column="patient")
    assert "20 of 60 images are of group 'unknown', the others of 2 or so each" in notes(
        tmp_path, columns
    )
    columns = replace(columns, missing_values=("unknown",))
    assert "unknown" not in notes(tmp_path, columns)
