"""What the model of a confirmed run says of images: classes, probabilities, prediction sets.

    model = open_results("results/runs").model("9f3c")
    model.predict("new_images/").frame

Images are decoded, resized and batched as in the run, so the test images of the run, in its order,
give its stored logits to the last bit. In other batches the last digits may differ (1e-6).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float32, UInt8

from lmd_bench.core.errors import UserError
from lmd_bench.core.machine import n_cores
from lmd_bench.core.schema import Row
from lmd_bench.data.batches import ImageSet, StoredViews
from lmd_bench.data.datasets._feature_file import SUFFIXES, read_feature_file
from lmd_bench.data.images.decoding import decode_files
from lmd_bench.data.images.named import named_images
from lmd_bench.data.intensity import parse_levels
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.model import EVAL_BATCH, Model
from lmd_bench.methods.models.model import predict as model_outputs
from lmd_bench.methods.models.precision import in_precision
from lmd_bench.methods.settings import section_config
from lmd_bench.stats.conformal import class_thresholds, coverage_by_class, prediction_sets
from lmd_bench.stats.probabilities import log_probabilities
from lmd_bench.store.store import SplitLogits, Store, open_store
from lmd_bench.training.features import features_of_pixels, load_trunk
from lmd_bench.training.kept import KeptModel, ModelFacts, load_model

COVERAGE = 0.9
BETWEEN = "|"  # classes of a set in one text

OnDone = Callable[[int, int], None]  # takes images done and all images
Paths: TypeAlias = str | Path | Sequence[str | Path]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of images that could be read.

    Attributes:
        ids: of the images.
        logits: z, in the order of `class_names`.
        class_names: of the model.
        temperature: T, chosen on val.
        sets: which classes belong to the prediction set of each image; None for a refit, which has
            no held-out images to make sets of.
        coverage: that the sets are made for.
        unreadable: images that could not be read, and why.
        notes: what the sets must be read with.
    """

    ids: tuple[str, ...]
    logits: Float[np.ndarray, "images classes"]
    class_names: tuple[str, ...]
    temperature: float
    sets: Bool[np.ndarray, "images classes"] | None
    coverage: float
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Return one row for each image: id, class, probabilities, and the prediction set.

        `p:NAME` is the softmax of the logits, `scaled:NAME` that of the logits over the
        temperature. `set` holds class names with "|" between them, and `abstain` is true where
        the set is not one class.
        """
        plain, scaled = (np.exp(log_probabilities(self.logits, t)) for t in (1.0, self.temperature))
        columns: dict[str, object] = {
            "id": self.ids,
            "class": [self.class_names[label] for label in self.logits.argmax(axis=1)],
        }
        columns |= {f"p:{name}": plain[:, j] for j, name in enumerate(self.class_names)}
        columns |= {f"scaled:{name}": scaled[:, j] for j, name in enumerate(self.class_names)}
        if self.sets is not None:
            columns["set"] = [
                BETWEEN.join(name for name, held in zip(self.class_names, row, strict=True) if held)
                for row in self.sets
            ]
            columns["abstain"] = self.sets.sum(axis=1) != 1
        return pd.DataFrame(columns)


@dataclass(frozen=True, eq=False)
class FinalModel:
    """The model of a run; `predict` asks it about images."""

    kept: KeptModel
    row: Row
    test: SplitLogits | None  # of the run, where its logits were kept

    @property
    def facts(self) -> ModelFacts:
        """Return what the model is: its trial, its classes, its temperature."""
        return self.kept.facts

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the classes, in the order of the logits."""
        return self.facts.class_names

    def predict(
        self,
        images: Paths,
        *,
        coverage: float = COVERAGE,
        image_column: str | None = None,
        n_threads: int | None = None,
        on_done: OnDone | None = None,
    ) -> Predictions:
        """Return what the model says of images.

        Args:
            images: files, folders, or CSVs that list files.
            coverage: share of images whose prediction set is to hold the right class.
            image_column: of the CSVs; their first column if not given.
            n_threads: of the computation; those of the run, if not given.
            on_done: called as images are done.

        Raises:
            UserError: a path that is not there, or a coverage outside (0, 1).
        """
        _check_coverage(coverage)
        paths = [Path(p) for p in ([images] if isinstance(images, str | Path) else images)]
        if not self.facts.spec.task.image_size:
            return self._of_features(paths, coverage, n_threads)
        named = named_images(paths, image_column)
        ids: list[str] = []
        unreadable: list[str] = []
        size, n_decoding = self.facts.spec.task.image_size, n_cores()
        levels = parse_levels(self.facts.intensity)
        decoded = decode_files([file for _, file in named], size, n_decoding, levels)

        def readable() -> Iterator[UInt8[np.ndarray, "size size 3"]]:
            for done, ((image_id, _), (_, pixels)) in enumerate(
                zip(named, decoded, strict=True), start=1
            ):
                if isinstance(pixels, str):
                    unreadable.append(pixels)
                else:
                    ids.append(image_id)
                    yield pixels
                if on_done is not None:
                    on_done(done, len(named))

        with as_in_the_run(self.facts, n_threads):
            logits = _logits(self.kept, readable())
        return self._predictions(ids, logits, coverage, unreadable)

    def _of_features(
        self, files: Sequence[Path], coverage: float, n_threads: int | None
    ) -> Predictions:
        """Return what the model says of files of features, which its run was given for images."""
        stored = self.facts.stored
        assert stored is not None, "a run without images has features"
        ids: list[str] = []
        rows: list[Float[np.ndarray, "images width"]] = []
        for file in files:
            if file.suffix.lower() not in SUFFIXES or not file.is_file():
                raise UserError(
                    f"The run was given features, not images, and {file} is no file of features; "
                    f"name one that ends in {', '.join(SUFFIXES)}."
                )
            content = read_feature_file(file, to_train=False)
            if content.matrix.shape[1] != stored.width:
                raise UserError(
                    f"The features in {file} have {content.matrix.shape[1]} columns, but those of "
                    f"the run have {stored.width}; take features of the same encoder and layer."
                )
            ids += content.ids
            rows.append(content.matrix)
        device = next(self.kept.model.parameters()).device
        with as_in_the_run(self.facts, n_threads):
            logits = logits_of_stored(self.kept.model, np.concatenate(rows), device)
        return self._predictions(ids, logits, coverage, ())

    def _predictions(
        self,
        ids: Sequence[str],
        logits: Float[np.ndarray, "images classes"],
        coverage: float,
        unreadable: Sequence[str],
    ) -> Predictions:
        sets, notes = None, ("a refit has no held-out images, so there are no prediction sets",)
        if len(self.kept.val_labels):
            thresholds = self.thresholds(coverage)
            sets = prediction_sets(self.scaled(logits), thresholds)
            notes = tuple(self._notes(thresholds, coverage))
        return Predictions(
            tuple(ids),
            logits,
            self.class_names,
            self.facts.temperature,
            sets,
            coverage,
            tuple(unreadable),
            notes,
        )

    def thresholds(self, coverage: float) -> Float[np.ndarray, " classes"]:
        """Return the threshold of each class for prediction sets, from the val images of the run.

        Args:
            coverage: share of each class's images whose set is to hold it, in (0, 1).
        """
        val = self.scaled(self.kept.val_logits)
        return class_thresholds(self.kept.val_labels, val, coverage)

    def scaled(
        self, logits: Float[np.ndarray, "images classes"]
    ) -> Float[np.ndarray, "images classes"]:
        """Return the probabilities of logits, scaled by the temperature."""
        return np.exp(log_probabilities(logits, self.facts.temperature))

    def _notes(self, thresholds: Float[np.ndarray, " classes"], coverage: float) -> Iterator[str]:
        """Yield what the sets must be read with: classes of too few images, and what test says."""
        counts = np.bincount(self.kept.val_labels, minlength=len(thresholds))
        few = [
            f"{name} ({counts[j]})"
            for j, name in enumerate(self.class_names)
            if np.isinf(thresholds[j])
        ]
        if few:
            yield (
                f"too few val images for sets at {coverage:.0%} of {', '.join(few)}, so every set "
                "holds these classes"
            )
        if self.test is not None:
            _, labels, logits = self.test
            held = coverage_by_class(labels, prediction_sets(self.scaled(logits), thresholds))
            yield (
                f"on the test images of the run the sets made for {coverage:.0%} hold the right "
                f"class for {np.nanmean(held):.0%} in the mean over classes, "
                f"{np.nanmin(held):.0%} in the class where they do least often"
            )


def final_model(store: Store, key: str, *, refit: bool = False) -> FinalModel:
    """Return the model that a run keeps.

    Args:
        store: of the results.
        key: of the run, or its beginning.
        refit: the one that was trained on train and val with the run's configuration.

    Raises:
        UserError: no such run, or it keeps no model.
    """
    row = store.find(key)
    kept = load_model(store.root, row, refit=refit)
    return FinalModel(kept, row, store.read_logits(row["key"]).get("test"))


def open_model(results: str | Path, key: str, *, refit: bool = False) -> FinalModel:
    """Return the model of a run in a folder of results; see `final_model`."""
    return final_model(open_store(Path(results)), key, refit=refit)


@contextmanager
def as_in_the_run(facts: ModelFacts, n_threads: int | None = None) -> Iterator[None]:
    """Let torch compute as it did in a model's run: in its precision, with its threads.

    Args:
        facts: of the model.
        n_threads: in place of those of the run.
    """
    training: TrainingConfig = section_config("training", facts.spec.config)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or facts.n_threads)
    try:
        with in_precision(training.precision):
            yield
    finally:
        torch.set_num_threads(before)


def _logits(
    kept: KeptModel, images: Iterator[UInt8[np.ndarray, "size size 3"]]
) -> Float[np.ndarray, "images classes"]:
    """Return the logits of images that come one by one, in the batches of a run."""
    facts, model = kept.facts, kept.model
    training: TrainingConfig = section_config("training", facts.spec.config)
    size = facts.spec.task.image_size
    device = next(model.parameters()).device
    # A frozen encoder computes features first, as it did for the run.
    trunk = None if facts.stored is None else load_trunk(training, size, device)
    parts = [np.zeros((0, len(facts.class_names)), dtype=np.float32)]
    while batch := list(islice(images, EVAL_BATCH)):
        pixels = np.stack(batch)
        if trunk is not None:
            features = features_of_pixels(trunk, training, pixels, device, n_cores())
            parts.append(logits_of_stored(model, features, device))
        else:
            labels = torch.zeros(len(batch), dtype=torch.long, device=device)
            images_here = ImageSet(torch.from_numpy(pixels).to(device), labels)
            parts.append(model_outputs(model, images_here)[1].cpu().numpy())
    return np.concatenate(parts)


def logits_of_stored(
    model: Model, features: Float32[np.ndarray, "images width"], device: torch.device
) -> Float[np.ndarray, "images classes"]:
    """Return the logits of features that stand for images."""
    every = np.arange(len(features), dtype=np.int64)
    views = StoredViews({"test": features[None]}, every, device)
    labels = torch.zeros(len(features), dtype=torch.long, device=device)
    return model_outputs(model, ImageSet(views, labels))[1].cpu().numpy()


def _check_coverage(coverage: float) -> None:
    if not 0 < coverage < 1:
        raise UserError(
            f"A coverage of {coverage:g} is not possible; give a share between 0 and 1, as 0.9."
        )
