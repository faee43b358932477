"""Confirmed models on another data set and on corrupted test images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmd_bench.cli import app
from lmd_bench.core import outside
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource
from lmd_bench.data.corruptions import CORRUPTIONS, STRENGTHS
from lmd_bench.experiments.evaluation.corruption import evaluate_corrupted
from lmd_bench.experiments.evaluation.external import evaluate_external, read_class_map
from lmd_bench.experiments.evaluation.runs import by_config
from lmd_bench.experiments.evaluation.stored import stored_evaluations
from lmd_bench.experiments.model.predict import open_model
from lmd_bench.experiments.results import open_results
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.report.corruption_curve import corruption_curve
from lmd_bench.store.store import open_store

FROZEN = {"training.tune": "frozen", "training.pretrained": False}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, pictures: Path) -> Path:
    """Return a folder of other pictures, one class of which the models do not know."""
    root = tmp_path_factory.mktemp("elsewhere")
    rng = np.random.default_rng(1)
    for level, name in enumerate(("Common", "SELDOM", "unheard")):
        (root / name).mkdir()
        for number in range(9):
            noise = rng.integers(0, 120, (20, 24, 3)) + 60 * level
            Image.fromarray(noise.astype(np.uint8)).save(root / name / f"n{number:02d}.png")
    # Two of the run's own, one of them under another name.
    shutil.copy(pictures / "common" / "00.png", root / "Common" / "00.png")
    shutil.copy(pictures / "common" / "01.png", root / "Common" / "copy.png")
    return root


def _external(results: Path, key: str, elsewhere: Path, **options):
    source = DataSource(root=elsewhere)
    return evaluate_external(open_store(results), [key], "folder", source, **options)


def test_a_model_is_judged_on_the_classes_that_it_knows_and_on_no_image_of_its_own(
    confirmed, results: Path, pictures: Path, elsewhere: Path
):
    run = confirmed("crt")
    answer = _external(results, run["key"], elsewhere, own_root=pictures)
    (line,) = answer.frame.to_dict("records")
    assert line["n_images"] == 18
    assert line["n_classes"] == 2
    assert "left out (9 images): unheard" in answer.notes[0]
    assert "own data hold them: 2 images" in answer.notes[1]
    (row,) = (r for r in open_store(results).rows() if r["phase"] == "external")
    assert row["source_key"] == run["key"]
    assert row["val_balanced_accuracy"] is None
    assert dict(zip(row["class_names"], row["test_counts"], strict=True)) == {
        **{"common": 9, "seldom": 9},
        "scarce": 0,
    }
    files = [elsewhere / "Common" / f"n{n:02d}.png" for n in range(9)]
    logits = open_model(results, run["key"]).predict(files).logits
    right = (logits.argmax(axis=1) == row["class_names"].index("common")).mean()
    recall = answer.frames["classes"].set_index("class")["external"]
    assert recall["common"] == pytest.approx(right)
    assert line["external"] == pytest.approx((recall["common"] + recall["seldom"]) / 2)
    assert line["gap"] == pytest.approx(line["external"] - line["own"])


def test_the_same_again_computes_nothing_and_says_the_same(
    confirmed, results: Path, pictures: Path, elsewhere: Path
):
    asked = {"own_root": pictures, "on_done": lambda done, total: pytest.fail("it was computed")}
    key = confirmed("crt")["key"]
    first = _external(results, key, elsewhere, own_root=pictures)
    again = _external(results, key, elsewhere, **asked)
    assert first.frame.equals(again.frame)


def test_own_data_that_are_not_here_are_said_and_names_of_test_are_left_out(
    confirmed, results: Path, elsewhere: Path
):
    answer = _external(results, confirmed("crt")["key"], elsewhere)
    assert any("are not known here" in note for note in answer.notes)


def test_a_class_map_joins_classes_and_leaves_out_what_is_null(
    confirmed, results: Path, pictures: Path, elsewhere: Path, tmp_path: Path
):
    file = tmp_path / "map.yaml"
    file.write_text("Common: common\nSELDOM: common\nunheard: scarce\n")
    key = confirmed("crt")["key"]
    answer = _external(results, key, elsewhere, own_root=pictures, class_map=file)
    assert answer.frame["n_images"].item() == 27
    recall = answer.frames["classes"].set_index("class")["external"]
    assert np.isnan(recall["seldom"])
    file.write_text("Common: common\nunheard: ~\n")
    answer = _external(results, key, elsewhere, own_root=pictures, class_map=file)
    assert answer.frame["n_images"].item() == 9


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Comon: common", "Unknown class of the other data set .*Did you mean 'Common'"),
        ("Common: comon", "Unknown class of the model .*Did you mean 'common'"),
        ("- Common", "is no map"),
    ],
)
def test_a_map_of_other_classes_is_refused(tmp_path: Path, text: str, sentence: str):
    file = tmp_path / "map.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_class_map(file, ("Common",), ("common",))


def test_a_data_set_of_the_same_images_leaves_nothing(confirmed, results: Path, pictures: Path):
    with pytest.raises(UserError, match="No image is left of the 94"):
        _external(results, confirmed("crt")["key"], pictures, own_root=pictures)


@pytest.mark.parametrize("method", ["crt", "frozen"])
def test_a_sweep_is_paired_with_clean_images_and_counts_on_no_leaderboard(
    confirmed, results: Path, pictures: Path, method: str
):
    settings = FROZEN if method == "frozen" else {}
    run = confirmed("crt", **settings)
    source, store = DataSource(root=pictures), open_store(results)
    before = group_studies(store.rows())
    answer = evaluate_corrupted(store, [run["key"]], source)
    frame = answer.frame
    assert len(frame) == 1 + len(CORRUPTIONS) * len(STRENGTHS) + len(STRENGTHS)
    clean = frame[frame["corruption"] == "clean"]["score"].item()
    assert clean == pytest.approx(run["test_balanced_accuracy"])
    known = frame[frame["strength"] > 0]
    np.testing.assert_allclose(known["change"], known["score"] - clean, atol=1e-12)
    rows = [r for r in store.rows() if r["phase"] == "corrupted" and r["source_key"] == run["key"]]
    assert {(r["corruption"], r["strength"]) for r in rows} == {
        (kind, strength) for kind in CORRUPTIONS for strength in STRENGTHS
    }
    (worst,) = (r for r in rows if (r["corruption"], r["strength"]) == ("noise", 5))
    line = frame[(frame["corruption"] == "noise") & (frame["strength"] == 5)]
    assert line["score"].item() == pytest.approx(worst["test_balanced_accuracy"])
    after = group_studies(store.rows())
    assert [len(s.rows) for s in before] == [len(s.rows) for s in after]
    again = evaluate_corrupted(
        store, [run["key"]], source, on_done=lambda n, of: pytest.fail("it was computed")
    )
    assert again.frame.equals(frame)


def test_the_curve_is_one_svg_that_stands_alone(confirmed, results: Path, pictures: Path):
    from xml.etree import ElementTree

    store, source = open_store(results), DataSource(root=pictures)
    answer = evaluate_corrupted(store, [confirmed("crt")["key"]], source)
    text = corruption_curve(answer.frame)
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert all(kind in text for kind in CORRUPTIONS)
    assert 'class="curve"' in text
    assert "less that on clean images" in str(answer)


def test_what_is_stored_of_an_evaluation_is_told_again_without_images(
    confirmed, results: Path, pictures: Path, elsewhere: Path
):
    run, source = confirmed("crt"), DataSource(root=pictures)
    there = _external(results, run["key"], elsewhere, own_root=pictures)
    sweep = evaluate_corrupted(open_store(results), [run["key"]], source)

    rows = open_store(results).rows()
    of_run = [row for row in rows if run["key"] in (row["key"], row["source_key"])]
    images = {row["task_fingerprint"] for row in of_run if row["phase"] == "external"}
    told = stored_evaluations(open_store(results), of_run)

    assert [one.keys for one in told] == [(run["key"],)] * (len(images) + 1)
    assert any(one.answer is not None and one.answer.frame.equals(there.frame) for one in told)
    assert told[-1].images == "corrupted test images"
    assert told[-1].answer is not None
    assert told[-1].answer.frame.equals(sweep.frame)
    # One place less, and there is no sweep whose means could be shown.
    cut_off = [row for row in of_run if (row["corruption"], row["strength"]) != ("jpeg", 5)]
    assert len(stored_evaluations(open_store(results), cut_off)) == len(images)


def test_runs_of_other_lengths_or_versions_are_no_seeds_of_one_configuration():
    first = {"method": "lmd", "config_json": "{}", "n_epochs": 10, "versions_json": "{}", "seed": 1}
    longer, later = first | {"n_epochs": 30}, first | {"versions_json": '{"icc":2}'}
    runs = by_config([first, longer, later, first | {"seed": 2}])
    assert [run.label for run in runs] == ["lmd #1", "lmd #2", "lmd #3"]
    assert [list(run.rows.values()) for run in runs] == [
        [first, first | {"seed": 2}],
        [longer],
        [later],
    ]


def test_python_asks_the_same_as_the_command(confirmed, results: Path, pictures, elsewhere):
    key, face = confirmed("crt")["key"], open_results(results)
    there = face.evaluate([key], "folder", own_root=pictures, data_root=elsewhere)
    assert there.frame.equals(_external(results, key, elsewhere, own_root=pictures).frame)
    sweep = face.evaluate([key], data_root=pictures)
    assert sweep.frame["corruption"].nunique() == 2 + len(CORRUPTIONS)


def test_a_method_of_ones_own_is_judged_elsewhere_as_others_are(
    confirmed, results: Path, pictures: Path, elsewhere: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    app(["new", "calibration", "own_median"], standalone_mode=False)
    outside.add(["own_median.py"])
    key = confirmed("cross_entropy+own_median", **FROZEN)["key"]

    answer = open_results(results).evaluate(
        [key, confirmed("crt", **FROZEN)["key"]],
        "folder",
        own_root=pictures,
        data_root=elsewhere,
    )

    assert answer.frame["method"].tolist() == ["cross_entropy+own_median", "crt"]
    assert answer.frame["external"].notna().all()
    rows = [row for row in open_store(results).rows() if row["source_key"] == key]
    assert [row["versions_json"] for row in rows] == [
        open_store(results).find(key)["versions_json"]
    ]


def test_rows_of_an_evaluation_have_no_model_of_their_own(confirmed, results, pictures, elsewhere):
    _external(results, confirmed("crt")["key"], elsewhere, own_root=pictures)
    store = open_store(results)
    key = next(row["key"] for row in store.rows() if row["phase"] == "external")
    with pytest.raises(UserError, match="is of phase external, and only confirmed and single runs"):
        _external(results, key, elsewhere, own_root=pictures, class_map=None)
