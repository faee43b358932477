"""A file is whole under its name or not there."""

import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import asked_file, whole_file


def test_what_breaks_off_leaves_what_was_there(tmp_path):
    final = tmp_path / "table.csv"
    final.write_text("old")
    with pytest.raises(ValueError, match="no number"):
        _write_half(final)
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def _write_half(final):
    with whole_file(final) as temporary:
        temporary.write_text("half")
        raise ValueError("no number")


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    wanted = tmp_path / "nowhere" / "table.csv"
    with (
        pytest.raises(UserError, match=r"table\.csv cannot be written"),
        asked_file(wanted) as temporary,
    ):
        temporary.write_text("new")
