"""The model that a run keeps: its head and what it changed of its encoder, without a pickle.

It lies in `<results>/models/<key>/`: `model.json` says how the modules are built, and
`model.safetensors` holds the head, the tensors of the encoder that calibration changed, and the
logits of val, from which temperature and prediction sets follow. The rest of the encoder is the
stored stage-1 one, `encoders/<encoder_key>/<encoder_file>`, which many models share. Of a frozen
encoder nothing is kept: its name and weights stand in the configuration.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_folder
from lmd_bench.core.schema import Phase, Row, TaskSpec, TrialSpec
from lmd_bench.methods.models.described import Description, UndescribedHeadError, build, describe
from lmd_bench.methods.models.fixed import StoredFacts
from lmd_bench.methods.models.model import Model
from lmd_bench.methods.pipeline import resolve
from lmd_bench.store.models import FOLDER, REFIT
from lmd_bench.training.tensor_file import write_tensors

KEEPS_MODEL: tuple[Phase, ...] = ("confirm", "single")  # runs that keep their model
FORMAT = 1  # of model.json
_VAL_LOGITS, _VAL_LABELS = "val.logits", "val.labels"
_ENCODER = "encoder."


@dataclass(frozen=True)
class ModelFacts:
    """What a kept model is, beside its tensors.

    Attributes:
        spec: the trial that made it.
        class_names: in the order of the logits.
        temperature: chosen on val; logits are divided by it.
        choices: what else val decided, for a refit.
        device: "cpu" or "cuda"; where it was judged.
        n_threads: that it was judged with; others may change the last bits of a logit.
        refit: trained on train and val together, so no metric of it is known.
        stored: the features that it takes in place of images; None where it takes images.
        head: how it is built.
        encoder_key: of the stored stage-1 encoder that it stands on; "" where it stands on none.
        encoder_file: in that encoder's folder.
        intensity: how values of pixels became grey levels; see `data.intensity`.
    """

    spec: TrialSpec
    class_names: tuple[str, ...]
    temperature: float
    choices: Mapping[str, Any]
    device: str
    n_threads: int
    refit: bool = False
    stored: StoredFacts | None = None
    head: Description = field(default_factory=dict[str, Any])
    encoder_key: str = ""
    encoder_file: str = ""
    intensity: str = "full"

    @property
    def name(self) -> str:
        """Return the name of its folder."""
        return self.spec.key + REFIT if self.refit else self.spec.key


@dataclass(frozen=True, eq=False)
class KeptModel:
    """A kept model, ready to be asked."""

    facts: ModelFacts
    model: Model
    val_logits: Float[np.ndarray, "val classes"]  # empty for a refit, which has no val
    val_labels: Int64[np.ndarray, " val"]


def keep_model(
    results: Path,
    facts: ModelFacts,
    model: Model,
    encoder_file: Path | None,
    val: tuple[Int64[np.ndarray, " val"], Float[np.ndarray, "val classes"]],
) -> bool:
    """Keep a final model; return False, with a warning, where that fails: the row is worth more.

    Args:
        results: folder of the results.
        facts: what it is; how the head is built and what it stands on is filled in.
        model: encoder and final head.
        encoder_file: the stored stage-1 state that the encoder came from; what is equal there is
            not kept again. None keeps all.
        val: labels and logits.
    """
    folder = results / FOLDER / facts.name
    try:
        tensors, stands_on = _own_tensors(model, encoder_file)
        facts = replace(
            facts,
            head=describe(model.head, _homes(facts.spec)),
            encoder_key="" if stands_on is None else stands_on.parent.name,
            encoder_file="" if stands_on is None else stands_on.name,
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(folder, replace=True) as temporary:
            tensors[_VAL_LABELS], tensors[_VAL_LOGITS] = map(torch.from_numpy, val)
            write_tensors(tensors, temporary / "model.safetensors")
            text = json.dumps({"format": FORMAT, **asdict(facts)}, indent=1, ensure_ascii=False)
            (temporary / "model.json").write_text(text + "\n", encoding="utf-8")
    except (OSError, UndescribedHeadError) as error:
        warnings.warn(f"The model of {facts.spec.key} is not kept: {error}", stacklevel=2)
        return False
    return True


def read_facts(results: Path, name: str) -> ModelFacts | None:
    """Return what a kept model is, without its tensors; None where none of that name is kept.

    Args:
        results: folder of the results.
        name: key of the run, with `REFIT` after it for the one trained on train and val.

    Raises:
        UserError: its file is damaged, or of a later package.
    """
    path = results / FOLDER / name / "model.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if (made := data.pop("format", None)) != FORMAT:
        raise UserError(
            f"{path} has format {made}, and this lmd-bench reads format {FORMAT}; install the "
            "version that wrote it."
        )
    try:
        spec = data["spec"]
        data["spec"] = TrialSpec(**spec | {"task": TaskSpec(**spec["task"])})
        # Models kept before features could be stored do not say it.
        stored = data.get("stored")
        data["stored"] = None if stored is None else StoredFacts(**stored)
        return ModelFacts(**data | {"class_names": tuple(data["class_names"])})
    except (KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def load_model(results: Path, row: Row, *, refit: bool = False) -> KeptModel:
    """Return the model that a run keeps, on the kind of device where it was judged.

    Args:
        results: folder of the results.
        row: of the run.
        refit: the one that was trained on train and val with its config.

    Raises:
        UserError: the run keeps none, its encoder is gone, or a file is damaged.
    """
    key = row["key"]
    name = key + REFIT if refit else key
    facts = read_facts(results, name)
    if facts is None:
        raise UserError(_none_kept(results, row, refit))
    folder = results / FOLDER / name
    device = torch.device("cuda" if facts.device == "cuda" and torch.cuda.is_available() else "cpu")
    tensors = _read(folder / "model.safetensors")
    val_logits, val_labels = tensors.pop(_VAL_LOGITS), tensors.pop(_VAL_LABELS)
    state = _shared(results, facts) | tensors
    pipeline = resolve(facts.spec)
    model = pipeline.new_model(
        len(facts.class_names), facts.spec.seed, device, stored=facts.stored, with_weights=False
    )
    try:
        model.head = build(facts.head, _homes(facts.spec)).to(device)
        model.load_state_dict(state)
    except (UndescribedHeadError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"The model of {key} was kept by other versions of its plug-ins, or of lmd-bench, than "
            f"those here ({reason}); install those that its row names."
        ) from error
    return KeptModel(facts, model.eval(), val_logits.numpy(), val_labels.numpy())


def _own_tensors(model: Model, encoder_file: Path | None) -> tuple[dict[str, Tensor], Path | None]:
    """Return the head's tensors and what differs from the stored encoder, and the file of that.

    An encoder that an earlier package stored under other names is not stood on.
    """
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    encoder = [name for name in state if name.startswith(_ENCODER)]
    stored = {} if encoder_file is None else load_file(encoder_file)
    stands_on = encoder_file if stored.keys() >= set(encoder) else None
    if stands_on is not None:
        for name in encoder:
            if torch.equal(state[name], stored[name]):
                del state[name]
    # Copies: tensors of one module may share their memory, which the format refuses.
    return {name: value.contiguous().clone() for name, value in state.items()}, stands_on


def _shared(results: Path, facts: ModelFacts) -> dict[str, Tensor]:
    if not facts.encoder_key:
        return {}
    file = results / "encoders" / facts.encoder_key / facts.encoder_file
    if not file.is_file():
        raise UserError(
            f"The encoder {facts.encoder_key}, on which the model of {facts.spec.key} stands, is "
            f"not in {file.parent.parent} any more; put its folder back, or train the "
            "configuration again with lmd-bench export --refit."
        )
    return {name: value for name, value in _read(file).items() if name.startswith(_ENCODER)}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error


def _homes(spec: TrialSpec) -> list[ModuleType]:
    """Return the files of the plug-ins that may define a head of their own."""
    return [
        plugins.load("representation", spec.representation),
        plugins.load("calibration", spec.calibration),
    ]


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} cannot be read ({error}); put a whole copy there, or delete that folder and the "
        "row, and run the same search again."
    )


def _none_kept(results: Path, row: Row, refit: bool) -> str:
    key = row["key"]
    if refit:
        return f"{results} holds no refit of {key}; make one with lmd-bench export {key} --refit."
    if row["status"] != "ok":
        return f"The trial {key} failed ({row['cause']}), so there is no model of it."
    if row["phase"] not in KEEPS_MODEL:
        return (
            f"The row {key} is of phase {row['phase']}, and only confirmed and single runs keep "
            f"their model; run lmd-bench confirm {key}, then name one of the rows that it prints."
        )
    return (
        f"The run {key} kept no model: an earlier lmd-bench made it, or the disk was full; train "
        f"its configuration again with lmd-bench export {key} --refit."
    )
