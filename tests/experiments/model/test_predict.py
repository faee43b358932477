"""The model of a confirmed run, asked about images."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from lmd_bench import open_results
from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TrialContext, no_report
from lmd_bench.experiments.model.predict import open_model
from lmd_bench.store.store import open_store
from lmd_bench.training import kept
from lmd_bench.training.trial import execute_trial
from tests.experiments.model.runs import spec_of

KINDS = (
    *("cross_entropy", "crt", "cross_entropy+icc"),
    *("cross_entropy+knn", "ldam_drw+lws", "ride+ladc"),
)


def _test_files(results: Path, key: str, pictures: Path) -> list[Path]:
    ids = open_store(results).read_logits(key)["test"][0]
    return [pictures / f"{image_id}.png" for image_id in ids]


@pytest.mark.parametrize("method", KINDS)
def test_predictions_on_the_test_images_equal_the_stored_logits_bit_for_bit(
    method: str, confirmed, results: Path, pictures: Path
):
    key = confirmed(method)["key"]
    predictions = open_model(results, key).predict(_test_files(results, key, pictures))
    _, _, stored = open_store(results).read_logits(key)["test"]
    assert len(stored) > 0
    np.testing.assert_array_equal(predictions.logits, stored)


def test_a_model_predicts_in_the_precision_of_its_run(
    confirmed, results: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    settings = {"training.precision": "bfloat16"}
    key = confirmed("cross_entropy", **settings)["key"]
    predictions = open_model(results, key).predict(_test_files(results, key, pictures))
    _, _, stored = open_store(results).read_logits(key)["test"]
    np.testing.assert_array_equal(predictions.logits, stored)


def test_new_images_get_the_grey_levels_of_the_run(confirmed, results: Path, pictures: Path):
    key = confirmed("cross_entropy")["key"]
    model = open_model(results, key)
    plain = model.predict(_test_files(results, key, pictures)).logits
    window = replace(model.facts, intensity="window:0,40")
    bright = replace(model, kept=replace(model.kept, facts=window))
    assert not np.array_equal(bright.predict(_test_files(results, key, pictures)).logits, plain)


def test_a_head_is_far_below_a_megabyte_where_the_encoder_is_shared(confirmed, results: Path):
    key = confirmed("crt")["key"]
    folder = results / "models" / key
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2**20
    assert kept.read_facts(results, key).encoder_key == confirmed("crt")["encoder_key"]


def test_what_calibration_changed_of_the_encoder_is_kept(confirmed, results: Path):
    key = confirmed("cross_entropy+icc")["key"]
    assert (results / "models" / key / "model.safetensors").stat().st_size > 10 * 2**20


def test_the_frame_has_probabilities_and_sets_of_each_image(
    confirmed, results: Path, pictures: Path
):
    model = open_results(results).model(confirmed("crt")["key"][:10])
    frame = model.predict(pictures / "scarce", coverage=0.8).frame
    names = ["common", "scarce", "seldom"]
    assert list(frame["id"][:2]) == ["00.png", "01.png"]
    assert list(frame.columns) == [
        *("id", "class"),
        *(f"{kind}:{name}" for kind in ("p", "scaled") for name in names),
        *("set", "abstain"),
    ]
    for kind in ("p", "scaled"):
        np.testing.assert_allclose(frame[[f"{kind}:{n}" for n in names]].sum(axis=1), 1.0)
    several = [text == "" or "|" in text for text in frame["set"]]
    assert list(frame["abstain"]) == several


def test_sets_hold_the_right_class_of_val_as_often_as_stated(confirmed, results: Path):
    model = open_results(results).model(confirmed("crt")["key"])
    labels, logits = model.kept.val_labels, model.kept.val_logits
    predictions = model._predictions([""] * len(labels), logits, 0.75, [])
    held = predictions.sets[np.arange(len(labels)), labels]
    for label in range(3):
        assert held[labels == label].mean() >= 0.75


def test_unreadable_images_are_named_and_the_rest_goes_on(
    confirmed, results: Path, pictures: Path, tmp_path: Path
):
    shutil.copy(pictures / "common" / "00.png", tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    shutil.copy(pictures / "common" / "01.png", tmp_path / "c.png")
    predictions = open_model(results, confirmed("crt")["key"]).predict(tmp_path)
    assert predictions.ids == ("a.png", "c.png")
    assert len(predictions.unreadable) == 1
    assert "b.png" in predictions.unreadable[0]


def test_a_csv_names_images_from_its_folder_with_or_without_ending(
    confirmed, results: Path, pictures: Path
):
    listing = pictures / "list.csv"
    listing.write_text("number,file\n1,common/00\n2,scarce/03.png\n3,absent/09\n")
    try:
        predictions = open_model(results, confirmed("crt")["key"]).predict(
            listing, image_column="file"
        )
    finally:
        listing.unlink()
    assert predictions.ids == ("common/00", "scarce/03.png")
    assert "absent" in predictions.unreadable[0]


def test_nothing_readable_is_an_empty_table(confirmed, results: Path, tmp_path: Path):
    (tmp_path / "b.png").write_bytes(b"no image")
    frame = open_model(results, confirmed("crt")["key"]).predict(tmp_path).frame
    assert len(frame) == 0
    assert "p:common" in frame.columns


def test_a_path_that_is_not_there_is_a_sentence(confirmed, results: Path, tmp_path: Path):
    model = open_model(results, confirmed("crt")["key"])
    with pytest.raises(UserError, match="nowhere does not exist"):
        model.predict(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no images"):
        model.predict(tmp_path)
    with pytest.raises(UserError, match="coverage of 1 is not possible"):
        model.predict(tmp_path, coverage=1.0)


def test_the_threads_of_the_caller_are_left_as_they_were(confirmed, results, pictures: Path):
    model = open_model(results, confirmed("crt")["key"])
    before = torch.get_num_threads()
    model.predict(pictures / "common" / "00.png", n_threads=before + 1)
    assert torch.get_num_threads() == before


def test_an_encoder_that_is_gone_is_a_sentence(confirmed, results: Path, tmp_path: Path):
    row = confirmed("crt")
    alone = tmp_path / "alone"
    shutil.copytree(results / "models", alone / "models")
    with pytest.raises(UserError, match=f"encoder {row['encoder_key']}, on which the model"):
        kept.load_model(alone, row)


def test_a_run_without_a_model_says_what_gives_one(confirmed, results: Path, tmp_path: Path):
    row = confirmed("crt")
    with pytest.raises(UserError, match="kept no model: an earlier lmd-bench"):
        kept.load_model(tmp_path, row)
    with pytest.raises(UserError, match="only confirmed and single runs keep their model"):
        kept.load_model(tmp_path, {**row, "phase": "search"})
    with pytest.raises(UserError, match="export .* --refit"):
        kept.load_model(results, row, refit=True)


def test_a_damaged_model_is_a_sentence(confirmed, results: Path, tmp_path: Path):
    row = confirmed("crt")
    copy = tmp_path / "models" / row["key"]
    shutil.copytree(results / "models" / row["key"], copy)
    (copy / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read"):
        kept.load_model(tmp_path, row)
    (copy / "model.json").write_text("{")
    with pytest.raises(UserError, match=r"model\.json cannot be read"):
        kept.load_model(tmp_path, row)
    (copy / "model.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="has format 99"):
        kept.load_model(tmp_path, row)


def test_a_model_that_cannot_be_written_leaves_the_row(
    confirmed, results: Path, pictures: Path, tmp_path: Path, monkeypatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source = DataSource(root=pictures)
    spec = spec_of("crt", source)
    shutil.copytree(results / "encoders", tmp_path / "encoders")
    monkeypatch.setattr(kept, "write_tensors", full)
    with pytest.warns(UserWarning, match="is not kept: .*No space left"):
        row = execute_trial(spec, TrialContext(tmp_path, source, device="cpu"), no_report)
    assert row["status"] == "ok"
    assert open_store(tmp_path).get(spec.key) == row
    assert not list((tmp_path / "models").iterdir())


def test_pictures_that_were_grey_or_turned_are_read_as_in_a_run(
    confirmed, results: Path, tmp_path: Path
):
    grey = Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20))
    grey.save(tmp_path / "grey.png")
    grey.convert("RGB").save(tmp_path / "rgb.png")
    predictions = open_model(results, confirmed("crt")["key"]).predict(tmp_path)
    assert np.array_equal(*predictions.logits)


def _command(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_command_writes_the_frame(
    ending: str, confirmed, results: Path, pictures: Path, tmp_path: Path
):
    key, out = confirmed("crt")["key"], tmp_path / f"predictions.{ending}"
    done = _command("predict", key[:12], pictures, "--out", out, "--results", results)
    assert done.exit_code == 0, done.output
    read = pd.read_csv(out, keep_default_na=False) if ending == "csv" else pd.read_parquet(out)
    expected = open_model(results, key).predict(pictures).frame
    pd.testing.assert_frame_equal(read, expected)
    assert "on the test images of the run the sets made for 90% hold the right" in done.stderr


def test_the_command_goes_on_past_an_unreadable_image_and_ends_with_1(
    confirmed, results: Path, pictures: Path, tmp_path: Path
):
    shutil.copy(pictures / "common" / "00.png", tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    done = _command("predict", confirmed("crt")["key"], tmp_path, "--results", results)
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 2
    assert f"left out, cannot be read: {tmp_path / 'b.png'} (it is empty)" in done.stderr


def test_the_command_refuses_another_kind_of_file(confirmed, results: Path, pictures: Path):
    key = confirmed("crt")["key"]
    done = _command("predict", key, pictures, "--out", "x.txt", "--results", results)
    assert isinstance(done.exception, UserError)
    assert "another ending than .csv or .parquet" in str(done.exception)
