"""A person's own features: what a file may look like, what is refused, and what is made of it."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TableColumns, TaskSpec
from lmd_bench.data.build import task_specs
from lmd_bench.data.checks.check import SplitReport, check
from lmd_bench.data.images.prepare import PreparedImages, prepare
from lmd_bench.data.options import DataOptions
from lmd_bench.data.views.contact_sheet import write_contact_sheet

N, WIDTH = 60, 4
IDS = [f"img{i:03d}" for i in range(N)]
LABELS = ["a"] * 30 + ["b"] * 20 + ["c"] * 10


def matrix(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, WIDTH)).astype(np.float32)


def npz(folder: Path, **arrays) -> Path:
    file = folder / "own.npz"
    np.savez(
        file, **{"ids": np.array(IDS), "features": matrix(), "labels": np.array(LABELS)} | arrays
    )
    return file


def parquet(folder: Path, **columns) -> Path:
    file = folder / "own.parquet"
    content = {"id": IDS, "features": matrix().tolist(), "label": LABELS} | columns
    pq.write_table(pa.table({k: v for k, v in content.items() if v is not None}), file)
    return file


def safetensors(folder: Path) -> Path:
    file = folder / "own.safetensors"
    save_file({"features": matrix()}, file, {"ids": json.dumps(IDS), "labels": json.dumps(LABELS)})
    return file


def csv(folder: Path, ids=IDS, suffix: str = ".jpg") -> TableColumns:
    file = folder / "list.csv"
    lines = [
        f"{i}{suffix},{label},g{n // 2}"
        for n, (i, label) in enumerate(zip(ids, LABELS, strict=True))
    ]
    file.write_text("\n".join(["name,kind,patient", *lines]))
    return TableColumns(file, "name", "kind", "patient")


def made(file: Path, **ways) -> PreparedImages:
    return prepare("features", DataSource(root=file, **ways), 64)


def refusal(file: Path, **ways) -> str:
    with pytest.raises(UserError) as caught:
        made(file, **ways)
    return str(caught.value)


@pytest.mark.parametrize("write", [npz, parquet, safetensors])
def test_each_kind_of_file_gives_its_features_and_classes(write, tmp_path: Path):
    prepared = made(write(tmp_path))
    assert np.array_equal(prepared.features(), matrix())
    assert prepared.table.image_ids == tuple(IDS)
    assert prepared.table.class_names == ("a", "b", "c")
    assert prepared.table.labels.tolist() == [0] * 30 + [1] * 20 + [2] * 10


def test_a_parquet_file_may_hold_a_column_for_each_feature(tmp_path: Path):
    columns = {f"f{i}": matrix()[:, i] for i in range(WIDTH)}
    assert np.array_equal(made(parquet(tmp_path, features=None, **columns)).features(), matrix())


def test_labels_and_groups_come_from_the_csv_in_its_order(tmp_path: Path):
    file, columns = npz(tmp_path), csv(tmp_path, IDS[::-1])
    prepared = made(file, columns=columns)
    assert np.array_equal(prepared.features(), matrix()[::-1])
    assert prepared.table.image_ids == tuple(IDS[::-1])
    assert prepared.table.groups[:3] == ("g0", "g0", "g1")


def test_groups_and_splits_of_the_file_are_taken(tmp_path: Path):
    file = npz(
        tmp_path, groups=np.array(["p"] * N), splits=np.array(["train", "valid", "test"] * 20)
    )
    table = made(file).table
    assert set(table.groups) == {"p"}
    assert table.splits == ("train", "val", "test") * 20


def test_the_task_has_no_image_size_and_its_fingerprint_is_of_the_values(tmp_path: Path):
    first = made(npz(tmp_path))
    changed = matrix()
    changed[3, 2] += 1.0
    second = made(npz(tmp_path, features=changed))
    assert first.image_size == second.image_size == 0
    assert first.fingerprint != second.fingerprint
    (spec,) = task_specs(["features"], [None], "balanced", 0, 224, None)
    assert spec.image_size == 0


def test_features_that_the_csv_lists_and_the_file_lacks_are_missing(tmp_path: Path):
    file, columns = npz(tmp_path), csv(tmp_path, [*IDS[:-2], "other1", "other2"])
    assert "2 of 60 images" in (text := refusal(file, columns=columns))
    assert "first other1" in text
    assert len(made(file, columns=columns, allow_missing=True).table) == N - 2


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"features": np.full((N, WIDTH), np.nan)}, "NaN or infinite values, first img000"),
        ({"features": np.ones((N, WIDTH))}, "Each of the 4 columns of features"),
        ({"features": np.zeros((N, WIDTH, 2))}, r"shape [60, 4, 2]; give a matrix"),
        ({"features": matrix()[:-1]}, "60 ids for 59 rows"),
        ({"ids": np.array(["same"] * N)}, "image same was there before"),
        ({"ids": np.array(IDS, dtype=object)}, "pickled objects, which are never opened"),
        ({"labels": np.array([""] * N)}, "images without a label"),
    ],
)
def test_what_no_classifier_can_learn_from_is_refused(arrays, sentence: str, tmp_path: Path):
    assert sentence in refusal(npz(tmp_path, **arrays))


def test_features_of_mixed_widths_are_refused(tmp_path: Path):
    rows = matrix().tolist()
    rows[7] = rows[7][:2]
    assert "most images have 4, but img007 has 2" in refusal(parquet(tmp_path, features=rows))


@pytest.mark.parametrize("write", [npz, parquet, safetensors])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_file_that_was_cut_short_is_refused(write, share: float, tmp_path: Path):
    file = write(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert "cannot be read" in refusal(file)


def test_a_file_of_another_kind_and_no_file_are_refused(tmp_path: Path):
    (tmp_path / "own.csv").write_text("x")
    assert "must end in .npz, .parquet, .safetensors" in refusal(tmp_path / "own.csv")
    assert "is no file" in refusal(tmp_path / "absent.npz")
    with pytest.raises(UserError, match="leave one of them out"):
        DataOptions(features=tmp_path / "a.npz", data_root=tmp_path).source()


def test_check_counts_constant_columns_and_doubles_and_looks_for_no_pictures(tmp_path: Path):
    changed = matrix()
    changed[:, 1] = 0.0
    changed[5] = changed[6]
    source = DataSource(root=npz(tmp_path, features=changed))
    (spec,) = task_specs(["features"], [None], "balanced", 0, 64, None)
    report = check(spec, source)
    assert isinstance(report, SplitReport)
    assert report.n_constant == 1
    assert report.identical == ((5, 6),)
    assert report.near == ()


def test_features_have_no_views_to_look_at(tmp_path: Path):
    with pytest.raises(UserError, match="no images"):
        write_contact_sheet(made(npz(tmp_path)), tmp_path / "sheet.png", 1, 0)


def test_two_sources_of_one_content_give_one_fingerprint(tmp_path: Path):
    (tmp_path / "second").mkdir()
    assert made(npz(tmp_path)).fingerprint == made(npz(tmp_path / "second")).fingerprint
    assert TaskSpec("features", image_size=0).image_size == 0
