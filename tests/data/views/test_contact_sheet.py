"""The contact sheet: which images it shows, and that it shows them as they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from lmd_bench import cli as commands
from lmd_bench.core.errors import UserError
from lmd_bench.data.views import contact_sheet, make_view

COMMAND = ["views", "--dataset", "synthetic", "--image-size", "16", "--out"]


def test_images_are_chosen_class_by_class_and_again_with_the_same_seed():
    labels = np.array([1, 0, 0, 2, 0, 2])
    first = contact_sheet.some_of_each_class(labels, 2, seed=0)
    assert labels[first].tolist() == [0, 0, 1, 2, 2]
    assert np.array_equal(first, contact_sheet.some_of_each_class(labels, 2, seed=0))


def test_normalised_images_come_back_as_the_pixels_they_were():
    pixels = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8)
    assert torch.equal(contact_sheet.to_pixels(make_view("test", pixels, 0)), pixels)


def test_every_view_and_mixing_has_a_column():
    shown = contact_sheet.columns(torch.zeros(2, 8, 8, 3, dtype=torch.uint8), seed=0)
    titles = [title.split(" 0")[0] for title in shown]
    expected = ["raw", "weak", "strong", "strong again", "randaugment", "simaugment"]
    expected += ["mixup", "cutmix"]
    assert titles == expected


def test_the_command_writes_a_picture_of_enlarged_images(tmp_path: Path):
    out = tmp_path / "new" / "views.png"
    result = CliRunner().invoke(commands.app, [*COMMAND, str(out), "--per-class", "1"])
    assert result.exit_code == 0, result.output
    with Image.open(out) as sheet:
        assert sheet.width > 7 * 96
        assert sheet.height > 3 * 96


@pytest.mark.parametrize(("name", "sentence"), [("views.txt", "is no picture"), ("a/b.png", "a")])
def test_an_out_file_that_cannot_be_written_is_named(tmp_path: Path, name: str, sentence: str):
    (tmp_path / "a").write_text("a file where the folder should be")
    result = CliRunner().invoke(commands.app, [*COMMAND, str(tmp_path / name)])
    assert isinstance(result.exception, UserError)
    assert name.split("/")[-1] in str(result.exception)
    assert sentence in str(result.exception)
