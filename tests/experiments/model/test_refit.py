"""A configuration trained on train and val: nothing is selected, and no metric is known."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from lmd_bench import open_results
from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, Progress, no_report
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.tasks.task import build_task
from lmd_bench.experiments.model.refit import refit
from lmd_bench.methods.best_epoch import BestOnVal
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import open_store
from lmd_bench.training.kept import read_facts
from lmd_bench.training.refit import together
from tests import tiny


def test_train_and_val_become_train_and_no_test_image_joins_them(confirmed, pictures: Path):
    spec = spec_of(confirmed("crt"))
    prepared = prepare("folder", DataSource(root=pictures), spec.task.image_size)
    task = build_task(prepared.table, spec.task, prepared.fingerprint)
    every = together(task, prepared.table.labels)
    assert set(every.train) == {*task.train, *task.val}
    assert len(every.val) == 0
    assert sum(every.class_counts) == len(task.train) + len(task.val)


def test_without_val_the_last_epoch_is_kept():
    seen: list[Progress] = []
    best = BestOnVal("representation", 3, torch.zeros(0, dtype=torch.long), seen.append)
    module = torch.nn.Linear(1, 1)
    for epoch in (1, 2, 3):
        torch.nn.init.constant_(module.weight, epoch)
        best.update(epoch, 0.1, torch.zeros(0, 3), module)
    torch.nn.init.zeros_(module.weight)
    best.restore(module)
    assert best.best_epoch == 3
    assert module.weight.item() == 3.0
    assert np.isnan(seen[0].val_balanced_accuracy)


def test_what_val_chose_is_noted_and_taken_over():
    noted = tiny.stage1()
    assert noted.settled("k", lambda: 4) == 4
    sets = (noted.train_set, noted.val_set)
    again = Stage1(noted.model, sets, tuple, seed=0, on_epoch=no_report, choices=noted.choices)
    assert again.settled("k", lambda: pytest.fail("val was asked")) == 4


@pytest.mark.parametrize(
    "method",
    [
        *("cross_entropy", "crt", "cross_entropy+icc", "cross_entropy+logistic_regression"),
        *("cross_entropy+knn", "cross_entropy+prs", "cross_entropy+logit_adjustment"),
        *("cross_entropy+tau_norm", "cross_entropy+lda", "cross_entropy+vfc"),
    ],
)
def test_a_refit_is_trained_once_and_asked_like_any_model(
    method: str, confirmed, results: Path, pictures: Path
):
    row = confirmed(method)
    epochs: list[Progress] = []
    source = DataSource(root=pictures)
    model = refit(open_store(results), row["key"], source, epochs.append)
    assert epochs or method != "crt"
    assert model.facts.refit
    assert model.facts.choices == read_facts(results, row["key"]).choices
    predictions = model.predict(pictures / "common")
    assert np.isfinite(predictions.logits).all()
    assert predictions.sets is None
    assert "set" not in predictions.frame
    again = refit(open_store(results), row["key"], source, lambda _: pytest.fail("trained again"))
    np.testing.assert_array_equal(again.predict(pictures / "common").logits, predictions.logits)
    own = open_results(results).model(row["key"]).predict(pictures / "common")
    assert not np.array_equal(own.logits, predictions.logits)


def test_the_card_of_a_refit_says_that_no_metric_is_known(
    confirmed, results: Path, pictures: Path, tmp_path: Path
):
    row, out = confirmed("crt"), tmp_path / "out"
    words = ["export", row["key"], "--refit", "--data-root", pictures, "--out", out]
    done = CliRunner().invoke(app, [str(word) for word in (*words, "--results", results)])
    assert done.exit_code == 0, done.output
    card = (out / "README.md").read_text()
    assert "No metric of this model is known" in card
    assert f"{100 * row['test_balanced_accuracy']:.1f}" not in card
    assert "| trained on | train and val |" in card


def test_choices_that_were_not_kept_are_a_sentence(
    confirmed, results: Path, pictures: Path, tmp_path: Path
):
    row = confirmed("cross_entropy+logistic_regression")
    for folder in ("trials", "logits"):
        shutil.copytree(results / folder, tmp_path / folder)
    shutil.copy(results / "store.json", tmp_path)
    with pytest.raises(UserError, match="What logistic_regression chose on val .* was not kept"):
        refit(open_store(tmp_path), row["key"], DataSource(root=pictures))


def test_other_images_are_refused(confirmed, results: Path, pictures: Path, tmp_path: Path):
    row = confirmed("ldam_drw+lws")
    shutil.copytree(pictures, tmp_path / "other")
    (tmp_path / "other" / "common" / "00.png").unlink()
    with pytest.raises(UserError, match="images or split files differ"):
        refit(open_store(results), row["key"], DataSource(root=tmp_path / "other"))
    assert read_facts(results, row["key"] + "-refit") is None
