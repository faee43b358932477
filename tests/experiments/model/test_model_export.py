"""Exported models: the same numbers elsewhere, a card that says what is known, whole or not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.experiments.model import deployed
from lmd_bench.experiments.model.export import export_model
from lmd_bench.experiments.model.predict import open_model
from lmd_bench.store.store import open_store
from tests.experiments.model.runs import SIZE

ROOT = Path(__file__).resolve().parents[3]
LOAD = """
import sys, numpy as np, torch
sys.modules["lmd_bench"] = None
model = torch.jit.load(sys.argv[1])
logits, p = model(torch.from_numpy(np.load(sys.argv[2])))
np.savez(sys.argv[3], logits=logits.numpy(), p=p.numpy())
"""


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(7))


def _exported(results: Path, key: str, format: str, out: Path) -> Path:
    return export_model(open_store(results), open_model(results, key), format, out)


def _expected(results: Path, key: str, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        logits, p = deployed.deployed(open_model(results, key).kept)(images)
    return logits.numpy(), p.numpy()


def test_the_deployed_module_normalises_as_a_run_does(confirmed, results: Path, pictures: Path):
    from lmd_bench.data.datasets._decode import decode

    key = confirmed("crt")["key"]
    file = pictures / "scarce" / "00.png"
    said = open_model(results, key).predict(file)
    image = torch.from_numpy(decode(file, SIZE).copy()).permute(2, 0, 1)[None] / 255
    logits, p = _expected(results, key, image)
    np.testing.assert_allclose(logits, said.logits, atol=1e-5)
    scaled = said.frame.filter(like="scaled:").to_numpy()
    np.testing.assert_allclose(p, scaled, atol=1e-5)


@pytest.mark.parametrize(
    "method", ["crt", "cross_entropy+knn", pytest.param("ride+ladc", marks=pytest.mark.slow)]
)
def test_onnx_gives_the_numbers_of_torch(
    method: str, confirmed, results: Path, tmp_path: Path, images: torch.Tensor
):
    onnxruntime = pytest.importorskip("onnxruntime")
    key = confirmed(method)["key"]
    file = _exported(results, key, "onnx", tmp_path / "out")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    outputs = session.run(["logits", "probabilities"], {"images": images.numpy()})
    for there, here in zip(outputs, _expected(results, key, images), strict=True):
        np.testing.assert_allclose(there, here, atol=1e-4)


@pytest.mark.parametrize("method", ["crt", "cross_entropy+knn", "ride+ladc", "cross_entropy+ncm"])
def test_torchscript_loads_in_a_process_without_lmd_bench(
    method: str, confirmed, results: Path, tmp_path: Path, images: torch.Tensor
):
    key = confirmed(method)["key"]
    file = _exported(results, key, "torchscript", tmp_path / "out")
    given, gave = tmp_path / "images.npy", tmp_path / "gave.npz"
    np.save(given, images.numpy())
    command = [sys.executable, "-W", "ignore", "-c", LOAD, str(file), str(given), str(gave)]
    subprocess.run(command, check=True, cwd=tmp_path, env={"OMP_NUM_THREADS": "1"})
    for there, here in zip(np.load(gave).values(), _expected(results, key, images), strict=True):
        np.testing.assert_allclose(there, here, atol=1e-5)


def test_tensors_load_with_torch_and_torchvision_alone(
    confirmed, results: Path, pictures: Path, tmp_path: Path
):
    key = confirmed("crt")["key"]
    _exported(results, key, "safetensors", tmp_path / "out")
    picture = pictures / "scarce" / "00.png"
    script = ROOT / "examples" / "load_exported.py"
    block = "import sys, runpy; sys.modules['lmd_bench'] = None; sys.argv = sys.argv[1:]; "
    block += "runpy.run_path(sys.argv[0])"
    done = subprocess.run(
        [sys.executable, "-c", block, str(script), str(tmp_path / "out"), str(picture)],
        check=True,
        cwd=tmp_path,
        env={"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    frame = open_model(results, key).predict(picture).frame
    shown = dict(line.split() for line in done.stdout.splitlines())
    for name, p in shown.items():
        assert abs(float(p) - frame[f"scaled:{name}"][0]) < 2e-4


def test_the_card_says_what_is_known_and_what_it_is_not_for(
    confirmed, results: Path, tmp_path: Path
):
    row = confirmed("crt")
    _exported(results, row["key"], "safetensors", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    for text in (
        "must not guide the care of a patient",
        row["task_fingerprint"],
        row["key"],
        "| encoder | resnet18, last features, tune full |",
        f"| Balanced accuracy, % | {100 * row['test_balanced_accuracy']:.1f} ",
        "in brackets 95 % intervals",
        "| scarce |",
    ):
        assert text in card
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    assert facts["class_names"] == ["common", "scarce", "seldom"]
    assert facts["head"]["class"] == "Linear"


def test_a_folder_that_is_taken_stays_as_it_is(confirmed, results: Path, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already; name a new folder"):
        _exported(results, confirmed("crt")["key"], "safetensors", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_other_numbers_leave_nothing_behind(confirmed, results: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(deployed, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="TorchScript file gives other numbers"):
        _exported(results, confirmed("crt")["key"], "torchscript", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_a_sentence(confirmed, results: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'lmd-bench\[export\]'"):
        _exported(results, confirmed("crt")["key"], "onnx", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_it_wrote(confirmed, results: Path, tmp_path: Path):
    out = tmp_path / "out"
    words = ["export", confirmed("crt")["key"][:12], "--out", out, "--results", results]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert str(out / "model.safetensors") in done.stdout
    assert sorted(file.name for file in out.iterdir()) == [
        "README.md",
        "model.json",
        "model.safetensors",
    ]
