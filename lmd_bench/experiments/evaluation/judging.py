"""The rows of confirmed models on images that they were not confirmed on.

A row has a phase of its own, so no leaderboard counts it, and the run's key as its `source_key`,
which its study names too. So the same model on the same images is one row, and is computed once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8

from lmd_bench.core.errors import DivergedError
from lmd_bench.core.machine import n_cores
from lmd_bench.core.schema import Phase, Row, TaskSpec, TrialContext, TrialRow, TrialSpec
from lmd_bench.core.text import task_slug
from lmd_bench.data.batches import ImageSet
from lmd_bench.data.tasks.task import Task
from lmd_bench.experiments.evaluation.runs import Runs
from lmd_bench.experiments.model.predict import as_in_the_run, logits_of_stored
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.encoder import Encoder
from lmd_bench.methods.models.model import EVAL_BATCH
from lmd_bench.methods.models.model import predict as model_outputs
from lmd_bench.methods.settings import section_config
from lmd_bench.store.rows import make_row, spec_of
from lmd_bench.store.store import Store
from lmd_bench.training.device import device_columns
from lmd_bench.training.features import features_of_pixels, load_trunk
from lmd_bench.training.kept import KeptModel, load_model
from lmd_bench.training.measured import logit_rows, metric_columns, temperature_columns

Pixels = UInt8[np.ndarray, "images size size 3"]
# Takes the first image and the one after the last.
Read = Callable[[int, int], Pixels]
OnJudged = Callable[[int, int], None]  # takes images done and all images
Trunk = tuple[TrainingConfig, Encoder]


@dataclass(frozen=True, eq=False)
class Images:
    """What models are judged on."""

    phase: Phase
    name: str  # of a study of these rows, such as `external` or `jpeg-3`
    task: TaskSpec
    fingerprint: str  # of images and labels
    ids: tuple[str, ...]
    labels: Int64[np.ndarray, " images"]  # classes of the model
    groups: Mapping[str, str]  # image -> hash of its lesion or patient, where it has one
    read: Read
    corruption: str | None = None
    strength: int | None = None


class Judge:
    """Models of runs, which are asked about images and leave rows."""

    def __init__(self, store: Store, runs: Sequence[Runs], command: str) -> None:
        """Load nothing yet.

        Args:
            store: Where the runs lie, and where rows go.
            runs: Whose models are asked.
            command: The command line, for the rows.
        """
        self._store, self._command = store, command
        self._rows = [row for of_config in runs for row in of_config.rows.values()]
        self._models: dict[str, KeptModel] = {}  # by the key of their run
        self._trunks: dict[str, Trunk] = {}

    def rows(self, images: Images, on_done: OnJudged) -> dict[str, TrialRow]:
        """Return the row of each run on these images, by the run's key; computed where missing.

        Args:
            images: What they are judged on.
            on_done: Is told of images that are done; never where the store holds all rows.

        Raises:
            UserError: a run that keeps no model.
            DivergedError: logits that are not finite.
        """
        specs = {row["key"]: _spec(row, images) for row in self._rows}
        stored = {key: self._store.get(spec.key) for key, spec in specs.items()}
        found = {key: row for key, row in stored.items() if row is not None}
        missing = [row for row in self._rows if row["key"] not in found]
        if not missing:
            return found
        began, clock = datetime.now(UTC), time.perf_counter()
        models = [self._model(row) for row in missing]
        logits = self._logits(models, images, on_done)
        seconds = (time.perf_counter() - clock) / len(missing)
        for row, model, z in zip(missing, models, logits, strict=True):
            found[row["key"]] = self._write(
                row, model, specs[row["key"]], images, z, began, seconds
            )
        return found

    def _model(self, row: Row) -> KeptModel:
        if row["key"] not in self._models:
            self._models[row["key"]] = load_model(self._store.root, row)
        return self._models[row["key"]]

    def _logits(
        self, models: Sequence[KeptModel], images: Images, on_done: OnJudged
    ) -> list[Float[np.ndarray, "images classes"]]:
        parts: list[list[Float[np.ndarray, "images classes"]]] = [[] for _ in models]
        for start in range(0, len(images.ids), EVAL_BATCH):
            stop = min(start + EVAL_BATCH, len(images.ids))
            pixels = images.read(start, stop)
            # Of models on one frozen encoder its features are the same, and most of the work.
            features: dict[str, Any] = {}
            for own, model in zip(parts, models, strict=True):
                own.append(self._of_pixels(model, pixels, features))
            on_done(stop, len(images.ids))
        logits = [np.concatenate(own) for own in parts]
        if not all(np.isfinite(z).all() for z in logits):
            raise DivergedError("a model gives logits that are not finite")
        return logits

    def _of_pixels(
        self, kept: KeptModel, pixels: Pixels, features: dict[str, Any]
    ) -> Float[np.ndarray, "images classes"]:
        device = next(kept.model.parameters()).device
        with as_in_the_run(kept.facts):
            if kept.facts.stored is None:
                labels = torch.zeros(len(pixels), dtype=torch.long, device=device)
                images = ImageSet(torch.from_numpy(pixels).to(device), labels)
                return model_outputs(kept.model, images)[1].cpu().numpy()
            name, (training, trunk) = self._trunk(kept, pixels.shape[1], device)
            if name not in features:
                features[name] = features_of_pixels(trunk, training, pixels, device, n_cores())
            return logits_of_stored(kept.model, features[name], device)

    def _trunk(self, kept: KeptModel, size: int, device: torch.device) -> tuple[str, Trunk]:
        training: TrainingConfig = section_config("training", kept.facts.spec.config)
        name = repr((training.backbone, training.pretrained, training.weights, training.features))
        if name not in self._trunks:
            self._trunks[name] = training, load_trunk(training, size, device)
        return name, self._trunks[name]

    def _write(
        self,
        run: Row,
        kept: KeptModel,
        spec: TrialSpec,
        images: Images,
        logits: Float[np.ndarray, "images classes"],
        began: datetime,
        seconds: float,
    ) -> TrialRow:
        scores = {"test": (images.ids, images.labels, logits)}
        empty = np.zeros(0, dtype=np.int64)
        task = Task(
            spec.task,
            kept.facts.class_names,
            *(empty, empty),
            tuple(run["class_counts"]),
            tuple(run["groups"]),
            images.fingerprint,
        )
        val = ((), kept.val_labels, kept.val_logits)
        device = next(kept.model.parameters()).device
        context = TrialContext(
            self._store.root,
            device=device.type,
            n_threads=kept.facts.n_threads,
            trial_number=run["trial_number"],
            is_default=run["is_default"],
            source_key=run["key"],
            command=self._command,
        )
        same = ("class_names", "class_counts", "groups", "encoder_key", "encoder_weights")
        row = make_row(
            spec,
            context,
            status="ok",
            n_test=len(images.ids),
            corruption=images.corruption,
            strength=images.strength,
            seconds=seconds,
            standalone_seconds=seconds,
            started_at=began.isoformat(timespec="seconds"),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            **{name: run[name] for name in (*same, "encoder_seen", "fidelity", "best_epoch")},
            **metric_columns("test", images.labels, logits, task),
            **temperature_columns({"val": val, **scores}, run["protocol"]),
            **{k: v for k, v in device_columns(device, context).items() if k != "n_threads"},
        )
        self._store.write(row, logit_rows(scores, images.groups))
        return row


def _spec(run: Row, images: Images) -> TrialSpec:
    place = task_slug(images.task, images.fingerprint)
    return replace(
        spec_of(run),
        task=images.task,
        task_fingerprint=images.fingerprint,
        phase=images.phase,
        study=f"{place}/{run['method']}/{images.name}-of-{run['key']}",
    )
