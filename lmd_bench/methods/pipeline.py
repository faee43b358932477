"""The two stages of a trial as objects: looked up by name once, then handed on."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from lmd_bench.core.plugins import check_versions, plugin_class
from lmd_bench.core.schema import TrialSpec
from lmd_bench.core.seeding import derive_seed
from lmd_bench.methods.best_epoch import full_objective_share
from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.encoder import Encoder, load_encoder
from lmd_bench.methods.models.fixed import StoredFacts
from lmd_bench.methods.models.model import Model, build_model
from lmd_bench.methods.representation._base import Representation
from lmd_bench.methods.settings import section_config


@dataclass(frozen=True)
class Pipeline:
    """What a trial runs: the shared training, and each stage's class with its own config."""

    training: TrainingConfig
    image_size: int  # of the task's images
    representation: type[Representation]
    representation_config: Any  # the plug-in's own frozen Config
    calibration: type[Calibration]
    calibration_config: Any

    def new_model(
        self,
        n_classes: int,
        seed: int,
        device: torch.device,
        *,
        stored: StoredFacts | None = None,
        with_weights: bool = True,
    ) -> Model:
        """Return the model before stage 1: the encoder with the head that stage 1 asks for.

        Args:
            n_classes: K.
            seed: of the trial; the initialisation draws from a seed derived of it.
            device: that it is moved to.
            stored: the features that stand for images; None where the model sees images.
            with_weights: False where they are overwritten right after.
        """
        own = self.representation_config
        model = build_model(
            self.training,
            n_classes,
            seed=derive_seed(seed, "initialisation"),
            image_size=self.image_size,
            with_weights=with_weights,
            stored=stored,
            make_encoder=partial(self.representation.make_encoder, own),
            make_head=partial(self.representation.make_head, own),
        )
        return model.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def stage1(
        self, model: Model, class_counts: Int64[Tensor, " classes"], n_steps: int, seed: int
    ) -> Representation:
        """Return stage 1, ready to train `model` for so many steps."""
        return self.representation(self.representation_config, model, class_counts, n_steps, seed)

    def objective_share(self, epoch: int, n_epochs: int) -> float:
        """Return the share of the steps up to an epoch that stage 1 took under its full objective.

        Args:
            epoch: the kept one, from 1.
            n_epochs: of stage 1.
        """
        deferral = self.representation.deferral(self.representation_config)
        return full_objective_share(deferral, epoch, n_epochs)

    def calibrate(self, stage1: Stage1) -> Calibrated:
        """Return the final classifier that stage 2 makes of what stage 1 left."""
        return self.calibration(self.calibration_config).fit(stage1)


def resolve(spec: TrialSpec) -> Pipeline:
    """Return what a trial runs.

    Raises:
        UserError: a plug-in that is not there or, from outside the package, not as it was; or a
            value that its Config refuses.
    """
    check_versions(spec.versions)
    training: TrainingConfig = section_config("training", spec.config)
    return Pipeline(
        training=training,
        image_size=spec.task.image_size,
        representation=plugin_class("representation", spec.representation),
        representation_config=section_config(spec.representation, spec.config),
        calibration=plugin_class("calibration", spec.calibration),
        calibration_config=section_config(spec.calibration, spec.config),
    )


def try_encoders(specs: Iterable[TrialSpec]) -> list[str]:
    """Build each encoder that some trials train, so that a fault shows before they start.

    What a source downloads lies in its cache afterwards, where the trials find it.

    Returns:
        what was loaded from files of weights, a sentence each.

    Raises:
        UserError: weights that cannot be had or do not fit, or an encoder that a method cannot use.
    """
    encoders: dict[tuple[Any, ...], Encoder] = {}
    taken: set[tuple[Any, ...]] = set()
    for spec in specs:
        pipeline = resolve(spec)
        training = pipeline.training
        # Fixed features are computed once, by whoever lacks them; they need no encoder after that.
        if training.on_stored or not spec.task.image_size:
            continue
        start = (training.backbone, training.pretrained, training.weights)
        asked = (*start, training.tune, training.features, training.stem, pipeline.image_size)
        if asked not in encoders:
            encoders[asked] = load_encoder(training, seed=0, image_size=pipeline.image_size)
        make = pipeline.representation.make_encoder
        if make is not Representation.make_encoder and (*asked, make) not in taken:
            make(pipeline.representation_config, encoders[asked])
            taken.add((*asked, make))
    loaded = (encoder.matched for encoder in encoders.values())
    return list(dict.fromkeys(matched.sentence() for matched in loaded if matched))
