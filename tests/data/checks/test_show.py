"""`lmd-bench check` as a person meets it, on small files in the layout of HAM10000."""

import json

import numpy as np
import pytest
import typer
from PIL import Image

from lmd_bench.cli import app
from lmd_bench.core import machine as hardware
from lmd_bench.core.errors import UserError
from lmd_bench.data.checks import check as checks
from lmd_bench.data.datasets import load

CLASSES = load("ham10000").card.class_names
N = 60  # images of each class: val 9 of them, test 15


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hardware, "n_cores", lambda: 1)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "raw"
    (folder / "HAM10000_images_part_1").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["lesion_id,image_id,dx"]
    for name in CLASSES:
        for i in range(N):
            image_id = f"{name}{i:02d}"
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((32, 32)).save(image_file(folder, image_id))
            lines.append(f"L{name}{i // 2},{image_id},{name}")
    (folder / "HAM10000_metadata.csv").write_text("\n".join(lines))
    return folder


def image_file(root, image_id):
    return root / "HAM10000_images_part_1" / f"{image_id}.jpg"


def published(folder, n_val=12, n_test=12):
    """Write a split where val and test are the last images of each class, by image."""
    folder.mkdir()
    ends = {"testing": (N - n_test, N), "validation": (N - n_test - n_val, N - n_test)}
    ends["training"] = (0, N - n_test - n_val)
    for name, (start, end) in ends.items():
        lines = [",".join(["image", *CLASSES])]
        for label, of in enumerate(CLASSES):
            one_hot = ",".join(str(int(j == label)) for j in range(len(CLASSES)))
            lines += [f"{of}{i:02d},{one_hot}" for i in range(start, end)]
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return folder


def run(root, capsys, *arguments, dataset="ham10000"):
    """Return the exit code and the printed text."""
    command = ["check", "--dataset", dataset, "--data-root", str(root), "--image-size", "32"]
    try:
        code = app([*command, *map(str, arguments)], standalone_mode=False) or 0
    except typer.Exit as exit_:
        code = exit_.exit_code
    return code, capsys.readouterr().out


def test_a_clean_split_exits_0_and_says_what_the_test_set_can_show(root, tmp_path, capsys):
    split = published(tmp_path / "split")
    code, text = run(root, capsys, "--protocol", "official", "--split-dir", split)
    assert code == 0
    assert "found" not in text
    assert "no lesion in two splits" in text
    # 2.802 * sqrt(2 * 7 * 0.25 / 12) / 7 = 0.216
    assert "at 80 % power: 21.6 points" in text
    assert "8.3" in text  # one of twelve test images


def test_lesions_across_splits_are_counted_and_named(root, tmp_path, capsys):
    split = published(tmp_path / "split", n_val=11, n_test=11)  # lesions have two images each
    code, text = run(root, capsys, "--protocol", "official", "--split-dir", split)
    assert code == 1
    assert "7 lesions in both val and test, with 7 and 7 images: Lakiec24, " in text
    assert "and 2 more" in text


def test_identical_files_are_shown_with_their_classes_and_splits(root, tmp_path, capsys):
    image_file(root, "nv59").write_bytes(image_file(root, "df00").read_bytes())
    split = published(tmp_path / "split")
    code, text = run(root, capsys, "--protocol", "official", "--split-dir", split)
    assert code == 1
    assert "1 set of byte-identical files, 1 across splits" in text
    assert "df00 (df, train) = nv59 (nv, test)" in text
    assert "no near-identical images" in text  # reported once


def test_near_identical_files_across_splits_are_shown(root, tmp_path, capsys):
    Image.open(image_file(root, "df00")).save(image_file(root, "nv59"), quality=60)
    split = published(tmp_path / "split")
    code, text = run(root, capsys, "--protocol", "official", "--split-dir", split)
    assert code == 1
    assert "1 group of near-identical images across splits" in text
    assert "df00 (train) ~ nv59 (test)" in text


def test_hashes_are_made_of_no_more_pixels_at_a_time_the_larger_the_images_are(
    root, monkeypatch, capsys
):
    sizes = []
    real = checks.difference_hashes
    monkeypatch.setattr(checks, "_BLOCK", 100 * 32 * 32)
    monkeypatch.setattr(checks, "difference_hashes", lambda p: sizes.append(len(p)) or real(p))
    run(root, capsys)
    assert sizes == [100, 100, 100, 100, 20]


def test_classes_too_small_to_judge_are_named(root, capsys):
    code, text = run(root, capsys)  # balanced: val 9
    assert code == 1
    assert "7 classes with fewer than 10 images in val or test" in text


def test_every_unreadable_file_is_listed_and_nothing_is_written(root, tmp_path, capsys):
    image_file(root, "mel03").write_bytes(b"")
    image_file(root, "nv07").write_text("no image")
    code, text = run(root, capsys, "--split-out", tmp_path / "out")
    assert code == 1
    assert "2 image files cannot be read" in text
    assert "mel03" in text
    assert "nv07" in text
    assert "no split was written" in text
    assert not (tmp_path / "out").exists()


def test_a_split_that_is_written_is_read_back_to_the_same_hash(root, tmp_path, capsys):
    out = tmp_path / "out"
    _, text = run(root, capsys, "--imbalance-factor", "4", "--split-seed", "5", "--split-out", out)
    fingerprint = json.loads((out / "split.json").read_text())["fingerprint"]
    assert f"split hash {fingerprint}" in text
    _, again = run(root, capsys, "--protocol", "official", "--split-dir", out)
    assert f"split hash {fingerprint}" in again


def test_a_factor_that_cannot_be_had_is_one_sentence(root, capsys):
    with pytest.raises(UserError, match="Imbalance factor 1000 leaves no image"):
        run(root, capsys, "--imbalance-factor", "1000")


@pytest.mark.real
def test_the_published_isic_2019_lt_split_shares_555_lesions_of_ham10000(shared_data, capsys):
    split = shared_data / "lmd_splits" / "ISIC2019LT"
    code, text = run(
        shared_data / "isic2019",
        capsys,
        *("--allow-missing", "--protocol", "official", "--split-dir", split),
        dataset="isic2019",
    )
    assert code == 1
    assert "555 lesions in both train and test" in text


@pytest.mark.real
def test_the_two_identical_pairs_of_ham10000_do_not_cross_at_factor_100(shared_data, capsys):
    code, text = run(shared_data / "ham10000", capsys, "--imbalance-factor", "100")
    assert code == 1
    assert "2 sets of byte-identical files, 0 across splits" in text
    assert "ISIC_0029861 (nv, train) = ISIC_0024366 (nv, train)" in text
    assert "ISIC_0029938 (nv, train) = ISIC_0024777 (nv, train)" in text
    assert "no lesion in two splits" in text
