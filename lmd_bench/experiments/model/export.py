"""Writes the model of a run as a folder that stands alone: the model, its facts, a model card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_folder
from lmd_bench.data.views import IMAGENET_MEAN, IMAGENET_STD
from lmd_bench.experiments.model.card import model_card
from lmd_bench.experiments.model.deployed import whole, write_onnx, write_torchscript
from lmd_bench.experiments.model.predict import FinalModel
from lmd_bench.store.store import Store
from lmd_bench.training.tensor_file import write_tensors

Format = Literal["safetensors", "onnx", "torchscript"]
FILES: Mapping[Format, str] = {
    "safetensors": "model.safetensors",
    "onnx": "model.onnx",
    "torchscript": "model.pt",
}


def export_model(store: Store, model: FinalModel, format: Format, out: Path) -> Path:
    """Write a model, `model.json` and a model card `README.md` to a new folder.

    Args:
        store: that holds the run and its other seeds, for the card.
        model: of a run.
        format: safetensors (tensors by name), onnx or torchscript (with normalisation inside).
        out: the folder; it must not be there, or be empty.

    Returns:
        the file of the model.

    Raises:
        UserError: the folder holds something or cannot be written, or the model cannot be written
            in that format.
    """
    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(out, replace=True) as folder:
            _write(model, format, folder / FILES[format])
            facts = json.dumps(model_facts(model), indent=1, ensure_ascii=False)
            (folder / "model.json").write_text(facts + "\n", encoding="utf-8")
            card = model_card(store, model, FILES[format])
            (folder / "README.md").write_text(card, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror or error}).") from error
    return out / FILES[format]


def check_free(out: Path) -> None:
    """Check that a folder is not there yet, or is empty.

    Raises:
        UserError: it holds something, or is a file.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already; name a new folder with --out.")


def model_facts(model: FinalModel) -> dict[str, Any]:
    """Return what a program must know of an exported model, as plain JSON-able data."""
    facts = model.facts
    spec = facts.spec
    return {
        "key": spec.key,
        "refit": facts.refit,
        "class_names": list(facts.class_names),
        "image_size": spec.task.image_size,
        "intensity": facts.intensity,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "temperature": facts.temperature,
        "method": spec.method,
        "representation": spec.representation,
        "calibration": spec.calibration,
        "config": dict(spec.config),
        "task_fingerprint": spec.task_fingerprint,
        "head": facts.head,
    }


def _write(model: FinalModel, format: Format, path: Path) -> None:
    match format:
        case "safetensors":
            state = whole(model.kept).state_dict()
            tensors = {
                name: value.cpu().contiguous(memory_format=torch.contiguous_format).clone()
                for name, value in state.items()
            }
            write_tensors(tensors, path)
        case "onnx":
            write_onnx(model.kept, path)
        case "torchscript":
            write_torchscript(model.kept, path)
