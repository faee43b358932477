"""A metric from outside the package: shown, compared, and refused in a sentence."""

from pathlib import Path

import pytest

from lmd_bench.contract.new import write_plugin
from lmd_bench.core import outside
from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.board import load
from lmd_bench.leaderboard.studies.measure import check_metric, direction, in_percent
from lmd_bench.leaderboard.studies.scores import parse_metrics
from lmd_bench.leaderboard.tables.render import render
from lmd_bench.stats.metrics import METRICS
from lmd_bench.store.metrics import known_metrics


def _folder(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


@pytest.fixture
def geometric(tmp_path):
    """Return the file of a metric called `gmean`, which is known from here on."""
    file = write_plugin("metrics", "gmean", _folder(tmp_path))[0]
    outside.add([file])
    return file


def test_a_leaderboard_shows_it_from_stored_logits(filled: Path, geometric: Path) -> None:
    assert parse_metrics("gmean") == ("gmean",)
    board = load(filled, metrics=("gmean", "balanced_accuracy"))
    scores = board.frame.set_index("method")["test_gmean"]
    # logits of `lmd` know the class; one seed of `crt` names one class alone and has 0
    assert 0.5 < scores["lmd"] <= 1.0
    assert 0.0 < scores["crt"] < 0.3
    assert "gmean" in render(board, "markdown")


def test_it_is_compared_like_any_other(geometric: Path) -> None:
    check_metric("gmean", ["a"])
    assert direction("gmean") == 1
    assert in_percent("gmean")
    assert list(known_metrics())[-1] == "gmean"


def test_without_its_file_it_is_unknown() -> None:
    with pytest.raises(UserError, match="Unknown metric 'gmean'"):
        parse_metrics("gmean")


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("mcc", "", "", "has the name of a metric of lmd-bench, 'mcc'"),
        ("gmean", 'title = "Gmean"', "titled = 1", "has no title"),
    ],
)
def test_one_that_is_not_what_it_has_to_be_is_refused(
    tmp_path, name: str, old: str, new: str, says: str
) -> None:
    file = write_plugin("metrics", name, _folder(tmp_path))[0]
    file.write_text(file.read_text().replace(old, new))
    outside.add([file])
    with pytest.raises(UserError, match=says):
        known_metrics()


@pytest.mark.parametrize(
    ("new", "says"), [("1 / 0", "fails .ZeroDivisionError"), ("'high'", "has to give one number")]
)
def test_one_that_fails_on_logits_is_named(filled: Path, tmp_path, new: str, says: str) -> None:
    file = write_plugin("metrics", "gmean", _folder(tmp_path))[0]
    source = file.read_text()
    file.write_text(source.replace("float(np.prod(recall) ** (1.0 / len(recall)))", new))
    outside.add([file])
    with pytest.raises(UserError, match=says):
        load(filled, metrics=("gmean",))


def test_what_rows_hold_is_not_changed_by_it(geometric: Path) -> None:
    assert "gmean" not in METRICS
