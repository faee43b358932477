"""`lmd-bench compare` over a store of hand-made rows."""

import json
from collections.abc import Callable
from math import nan
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.experiments.results import Results, open_results
from lmd_bench.leaderboard.compare import compare_methods
from lmd_bench.leaderboard.comparison import comparison_frame
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.tables.text import bounds, p_value, percent, text_table
from lmd_bench.stats.intervals import Interval
from lmd_bench.store.store import open_store

Row = dict
LABELS = np.repeat(np.arange(4), 20)


@pytest.fixture
def filled(tmp_path: Path, study: Callable[..., list[Row]]) -> Path:
    """A store of three methods on one task, the best of them on another one too."""
    store = open_store(tmp_path, create=True)
    other = TaskSpec(dataset="toy", imbalance_factor=20.0, image_size=32)
    studies = [study(name, [0.3], {0: [0.5, 0.5]}) for name in ("lmd", "crt", "none_such")]
    studies += [study("rrl", [0.3]), study("lmd", [0.3], {0: [0.5]}, task=other)]
    for place, rows in enumerate(studies):
        for number, row in enumerate(rows):
            generator = np.random.default_rng(10 * place + number)
            right = generator.uniform(size=80) < 0.8 - 0.2 * place
            logits = np.eye(4)[np.where(right, LABELS, (LABELS + 1) % 4)]
            images = zip(LABELS.tolist(), logits.tolist(), strict=True)
            kept = [(f"i{i}", "test", y, z) for i, (y, z) in enumerate(images)]
            store.write(row, kept if row["phase"] == "confirm" else ())
    return tmp_path


def test_the_first_is_compared_with_each_named_method_of_a_task(filled: Path) -> None:
    found = compare_methods(filled, ["lmd", "crt"], rule=RULE)

    assert [[pair.other for pair in one.comparisons] for one in found] == [[], ["crt"]]
    assert found[0].notes[0] == f"crt has no study on {found[0].task}"
    frame = comparison_frame(found, RULE)
    assert len(frame) == 1
    assert frame["balanced_accuracy_difference"].iloc[0] > 0
    assert frame["n_seeds"].iloc[0] == 2


def test_with_all_takes_every_confirmed_method_and_leaves_out_helpers(filled: Path) -> None:
    found = compare_methods(filled, ["crt"], with_all=True, rule=RULE)

    assert [pair.other for pair in found[0].comparisons] == ["lmd", "none_such"]
    assert found[0].notes == ()


def test_the_same_comparison_gives_the_same_numbers(filled: Path) -> None:
    one, two = (compare_methods(filled, ["lmd", "crt"], rule=RULE) for _ in range(2))

    assert one == two


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["lmd"], "takes at least two different methods"),
        (["lmd", "lmd"], "takes at least two different methods"),
        (["lmd", "crd"], "Unknown method 'crd'.* Did you mean 'crt'"),
        (["lmd", "rrl"], "Nothing can be compared with lmd .*rrl has no confirmed logits"),
    ],
)
def test_what_cannot_be_compared_is_an_error(filled: Path, names: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        compare_methods(filled, names, rule=RULE)


def test_several_studies_of_one_method_have_to_be_told_apart(tmp_path: Path, study) -> None:
    store = open_store(tmp_path, create=True)
    for n_epochs in (8, 20):
        for row in study("crt", [0.3], {0: [0.5]}, n_epochs=n_epochs):
            store.write(row)
    with pytest.raises(UserError, match=r"several studies .*'crt \[toy-100.0/crt/8\]'"):
        compare_methods(tmp_path, ["crt"], with_all=True, rule=RULE)


def test_the_text_says_what_its_numbers_are(filled: Path, capsys) -> None:
    app(["compare", "lmd", "crt", "--results", str(filled)], standalone_mode=False)

    text = " ".join(capsys.readouterr().out.split())
    assert "lmd less the other, in points of balanced accuracy on test" in text
    assert "95 % over test images as if each were of its own lesion" in text
    assert "Configurations selected by val_balanced_accuracy" in text
    assert "Note: crt has no study on toy · balanced · IF 20" in text


def test_json_and_csv_hold_fractions_and_the_watermark(filled: Path, capsys) -> None:
    arguments = ["compare", "lmd", "crt", "--results", str(filled), "--rule", "oracle_test"]
    app([*arguments, "--format", "json"], standalone_mode=False)
    data = json.loads(capsys.readouterr().out)
    assert data["watermark"].startswith("ORACLE")
    assert 0 < data["rows"][0]["balanced_accuracy_difference"] < 1

    app([*arguments, "--format", "csv"], standalone_mode=False)
    captured = capsys.readouterr()
    assert captured.out.startswith("task,first,other,n_seeds,")
    assert "ORACLE" in captured.err


def test_numbers_of_a_table() -> None:
    assert [percent(v, "+") for v in (0.1234, -0.0001, nan)] == ["+12.3", "+0.0", "–"]
    assert bounds(Interval(0.1, 0.2, "")) == "[10.0, 20.0]"
    assert [p_value(p) for p in (0.0002, 0.04, nan)] == ["<.001", "0.040", "–"]
    assert text_table(("a", "b"), [("long", "1")]) == ["a     b", "───────", "long  1"]


def test_mcnemar_is_in_the_csv_alone_and_holm_says_how_many_it_is_over(filled: Path) -> None:
    found = open_results(filled).compare("crt")
    text = found.render(width=200)

    n_tests = int(found.frame["n_tests"].iloc[0])
    assert f"p Holm ({n_tests})" in text
    assert n_tests == len(found.frame)  # over all tasks that are shown
    assert "McNemar" not in text
    assert "mcnemar_p" in found.frame


def searched_three_times(root: Path, study: Callable[..., list[Row]], shared: str = "") -> None:
    """Write two methods by three searches; the second of `shared` has the seeds of its first."""
    store = open_store(root, create=True)
    for place, (name, search) in enumerate((m, s) for m in ("lmd", "crt") for s in range(3)):
        for number, row in enumerate(study(name, [0.3], {0: [0.5, 0.5]})):
            row |= {"repeat_of": f"{name}s", "study": f"{row['study']}/{search}"}
            row["seed"] += 0 if name == shared and search == 1 else 10 * search
            row["key"] = f"{search}{row['key'][1:]}"
            row["source_key"] = row["source_key"] and f"{search}{row['source_key'][1:]}"
            right = np.random.default_rng(10 * place + number).uniform(size=80) < 0.7
            logits = np.eye(4)[np.where(right, LABELS, (LABELS + 1) % 4)]
            images = zip(LABELS.tolist(), logits.tolist(), strict=True)
            kept = [(f"i{i}", "test", y, z) for i, (y, z) in enumerate(images)]
            store.write(row, kept if row["phase"] == "confirm" else ())


def test_repeats_of_one_search_are_one_method(tmp_path: Path, study) -> None:
    searched_three_times(tmp_path, study)

    ((pair,),) = [task.comparisons for task in compare_methods(tmp_path, ["lmd", "crt"], rule=RULE)]

    assert (pair.first, pair.other, len(pair.seeds)) == ("lmd", "crt", 6)
    assert pair.tested.n_seeds == 3  # searches, not retrainings
    text = " ".join(open_results(tmp_path).compare("lmd").render(width=200).split())
    assert "3 searches, each with its retrainings" in text
    assert "None of this holds the spread over splits or data sets" in text


def test_searches_with_the_same_retraining_seeds_all_count(tmp_path: Path, study) -> None:
    """`lmd-bench confirm` retrains what a second search chose on the seeds of the first."""
    searched_three_times(tmp_path / "apart", study)
    searched_three_times(tmp_path / "shared", study, "crt")
    apart, shared = (open_results(tmp_path / name) for name in ("apart", "shared"))

    def alone(results: Results) -> Row:
        return results.intervals().frame.set_index("label").loc["crt"].to_dict()

    assert alone(shared)["n_seeds"] == 3  # searches
    assert alone(shared) == pytest.approx(alone(apart), nan_ok=True)
    (found,) = compare_methods(shared.folder, ["lmd", "crt"], rule=RULE)
    (pair,) = found.comparisons
    assert (pair.tested.n_seeds, len(pair.seeds)) == (2, 4)  # two searches have pairs of seeds
