"""What a search will take of the disk, at most, before its first trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from lmd_bench.core.plugins import plugin_class
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.settings import section_config
from lmd_bench.search.proposing.study import Study

# Measured on HAM10000, pbc and chula_rbc12: a row has 14 to 16 kB whatever the data, its log 1 kB;
# a confirmation has the logits of 800 to 1,600 images of 7 to 12 classes.
ROW_BYTES = 17_000
LOGIT_BYTES = 100_000


@dataclass(frozen=True)
class Disk:
    """Bytes and files that are still to come, if every encoder is kept."""

    encoder_bytes: int  # of one encoder, the largest of those that are trained
    n_bytes: int
    n_files: int


def disk_of(studies: Sequence[Study], left: Sequence[tuple[int, int]], n_encoders: int) -> Disk:
    """Return what is still to come.

    Args:
        studies: Of a search.
        left: Search trials and confirmations that each has still to run.
        n_encoders: To train.
    """
    encoders = {study.spec.id: _encoder_bytes(study) for study in studies}
    largest = max(encoders.values(), default=0)
    n_bytes, n_files = n_encoders * largest, 2 * n_encoders
    for study, (trials, confirmations) in zip(studies, left, strict=True):
        method = study.spec.method
        moves = plugin_class("calibration", method.calibration).moves_encoder
        # A kept model whose stage 2 has moved the encoder holds an encoder of its own.
        model = encoders[study.spec.id] if moves else 0
        n_bytes += (trials + confirmations) * ROW_BYTES + confirmations * (LOGIT_BYTES + model)
        n_files += 2 * trials + 5 * confirmations  # row and log; logits, model and its facts
    return Disk(largest, n_bytes, n_files)


def _encoder_bytes(study: Study) -> int:
    spec = study.spec
    training = section_config("training", spec.default)
    if training.on_stored or not spec.task.image_size:
        return 0  # heads and adapters, of a few MB at most
    return _bytes_of(training, spec.task.image_size)


@cache
def _bytes_of(training: TrainingConfig, image_size: int) -> int:
    from lmd_bench.methods.models.encoder import encoder_bytes

    return encoder_bytes(training, image_size)
