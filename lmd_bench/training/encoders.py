"""The encoder cache: a stage-1 model is trained once, and every calibration shares it.

An encoder lies in `<results>/encoders/<key>/` as `model.safetensors` (what calibrations stand on),
`own_head.safetensors` (the epoch at which stage 1's own head was best, where that is another one),
`encoder.json` (curve, epochs, seconds) and, once a calibration asked for them,
`features.safetensors` (of the own head's state `own_head_features.safetensors`). The folder gets
its name by a rename when it is complete. A lock per key keeps two workers from training the same
one; it is the operating system's, so a dead worker's lock is free.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lmd_bench.core.errors import OvertimeError
from lmd_bench.core.files import patiently, whole_file, whole_folder
from lmd_bench.core.locks import Timeout, locked
from lmd_bench.core.schema import OnEpoch, Progress, TrialSpec
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import ImageSet, steps_per_epoch
from lmd_bench.methods.limits import n_parts
from lmd_bench.methods.models.fixed import StoredFacts
from lmd_bench.methods.models.model import Model, predict
from lmd_bench.methods.models.precision import precision_of
from lmd_bench.methods.pipeline import Pipeline
from lmd_bench.store.mirror import Mirror
from lmd_bench.training.checkpoint import Checkpoint
from lmd_bench.training.far_encoders import FarEncoder
from lmd_bench.training.loop import Fitted, train
from lmd_bench.training.tensor_file import write_tensors

WAIT = 20.0  # seconds between two looks at whether the holder of a lock lives
MOST_SILENT = 6 * 3600.0  # seconds; an epoch that takes longer is taken for a hung process


@dataclass(frozen=True)
class TrialData:
    """What both stages see: train and val, on the trial's device."""

    train: ImageSet
    val: ImageSet
    n_classes: int
    stored: StoredFacts | None = None  # of the features that stand for images; None: pixels

    @property
    def device(self) -> torch.device:
        """Return where labels and computations are."""
        return self.train.labels.device


@dataclass(frozen=True)
class Encoder:
    """A trained stage-1 model and what it cost."""

    key: str
    model: Model
    curve: tuple[Progress, ...]
    epoch: int  # that `model` was kept at
    probe: float  # val balanced accuracy of a balanced linear probe, where calibrations stand
    seconds: float  # what its training cost when it was trained
    cached: bool  # True: this trial found it in the cache
    folder: Path
    file: Path  # in it, that `model` was read from
    n_micro: int = 1  # parts that a batch was cut into
    compiled: bool = False
    waited: float = 0.0  # seconds for which another worker, training the same one, held it up


def obtain(
    spec: TrialSpec,
    pipeline: Pipeline,
    data: TrialData,
    results: Path,
    on_epoch: OnEpoch,
    on_wait: Callable[[], None] = lambda: None,
    mirror: str = "",
) -> Encoder:
    """Return the encoder of a trial, from the cache or trained now (and then cached).

    Args:
        spec: names the encoder and gives its seed and epochs.
        pipeline: what the spec resolves to.
        data: train and val.
        results: folder that holds the cache.
        on_epoch: is told of each epoch of a training.
        on_wait: is told now and then while another worker trains it.
        mirror: URL at which other machines put what they trained; "" for none.

    Raises:
        OvertimeError: the worker that trains it has given no sign of life for hours.
    """
    key = spec.encoder_key
    root = results / "encoders"
    root.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    # Whoever waits here for another worker finds that worker's encoder, and trains none.
    lock = root / f".{key}.lock"
    with held(lock, on_wait):
        waited = time.perf_counter() - started
        encoder = _load(root / key, spec, pipeline, data)
        if encoder is None:
            far = FarEncoder(Mirror(mirror, results), key) if mirror else None

            def alive(progress: Progress) -> None:
                _touch(lock)
                if far is not None:
                    far.alive()
                on_epoch(progress)

            with far.turn(on_wait) if far else nullcontext(True) as is_ours:
                waited = time.perf_counter() - started
                if is_ours:
                    _train(root / key, spec, pipeline, data, alive)
                    if far is not None:
                        far.push()
            # Read back, so that the first trial on an encoder has the same one as all after it.
            encoder = _load(root / key, spec, pipeline, data)
            if encoder is None:
                raise OSError(f"the encoder in {root / key} cannot be read back")
            encoder = replace(encoder, cached=not is_ours)
        return replace(encoder, waited=waited)


@contextmanager
def held(lock: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock whose holder shows by the date of its file that it lives.

    Raises:
        OvertimeError: it has shown no life for `MOST_SILENT` seconds.
    """
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(lock, WAIT))
                break
            except Timeout:
                on_wait()
                silent = time.time() - lock.stat().st_mtime
                if silent > MOST_SILENT:
                    raise OvertimeError(
                        f"what holds {lock} has shown no life for {silent / 3600:.1f} h; end that "
                        "process, then --retry-failed runs this trial again"
                    ) from None
        _touch(lock)
        yield


def _touch(path: Path) -> None:
    with suppress(OSError):
        os.utime(path)


def cached_features(
    encoder: Encoder, data: TrialData
) -> tuple[Float[Tensor, "train features"], Float[Tensor, "val features"]]:
    """Return the test-view features of train and val, computed once for each stored state."""
    if data.stored is not None:
        # They are stored already, once for all encoders that stand on them.
        return predict(encoder.model, data.train)[0], predict(encoder.model, data.val)[0]
    state = encoder.file.stem
    name = "features" if state == "model" else f"{state}_features"
    path = encoder.folder / f"{name}.safetensors"
    # Many calibrations start at once on one encoder: the first computes, the others read.
    with held(encoder.folder / ".features.lock", lambda: None):
        stored = _read_tensors(path)
        if stored is not None:
            return stored["train"].to(data.device), stored["val"].to(data.device)
        features = {
            "train": predict(encoder.model, data.train)[0],
            "val": predict(encoder.model, data.val)[0],
        }
        with whole_file(path) as temporary:
            write_tensors(features, temporary)
    return features["train"], features["val"]


def _train(
    folder: Path,
    spec: TrialSpec,
    pipeline: Pipeline,
    data: TrialData,
    on_epoch: OnEpoch,
) -> None:
    """Train a stage-1 model and store it."""
    model = pipeline.new_model(data.n_classes, spec.seed, data.device, stored=data.stored)
    started = time.perf_counter()
    config = pipeline.training
    class_counts = torch.bincount(data.train.labels, minlength=data.n_classes)
    n_steps = steps_per_epoch(len(data.train), config.batch_size) * spec.n_epochs
    seed = derive_seed(spec.seed, "representation")
    method = pipeline.stage1(model, class_counts, n_steps, seed)
    # A dot before the name: it is no encoder.
    checkpoint = Checkpoint(
        folder.with_name(f".{folder.name}.checkpoint"),
        {
            "encoder": folder.name,
            "n_micro": n_parts(),
            "device": data.device.type,
            # Left to the device, which may be another GPU: one without bfloat16 scales the loss.
            "precision": str(precision_of(data.device)),
        },
    )
    both = (data.train, data.val)
    fitted = train(method, *both, config, spec.n_epochs, seed, on_epoch, checkpoint)
    seconds = checkpoint.seconds + time.perf_counter() - started
    _store(folder, model, fitted, seconds)
    checkpoint.drop()


def _store(folder: Path, model: Model, fitted: Fitted, seconds: float) -> None:
    """Store the two states of a trained model, the own head's best only where it is another one.

    Args:
        folder: of the encoder; what a damaged one left in it is replaced.
        model: as its own head was best on val; it is left as calibrations stand on it.
        fitted: what its training left.
        seconds: what it took.
    """
    facts = {
        "curve": [asdict(progress) for progress in fitted.curve],
        "own_head_epoch": fitted.best_epoch,
        "epoch": fitted.encoder.epoch,
        "probe": fitted.encoder.score,
        "seconds": seconds,
        "n_micro": n_parts(),
        "compiled": fitted.compiled,
    }
    # The own head's state first: `restore` puts the encoder's in its place.
    with whole_folder(folder, replace=True) as temporary:
        if fitted.best_epoch != fitted.encoder.epoch:
            write_tensors(model.state_dict(), temporary / "own_head.safetensors")
        fitted.encoder.restore(model)
        write_tensors(model.state_dict(), temporary / "model.safetensors")
        (temporary / "encoder.json").write_text(json.dumps(facts))


def _load(folder: Path, spec: TrialSpec, pipeline: Pipeline, data: TrialData) -> Encoder | None:
    """Return the encoder in a folder; None where there is none or it is damaged."""
    try:
        text = patiently((folder / "encoder.json").read_text)
        facts: dict[str, Any] = json.loads(text)
    except (FileNotFoundError, ValueError):
        return None
    epoch = facts["own_head_epoch"] if pipeline.calibration.own_head else facts["epoch"]
    # Where the own head was best at the encoder's epoch, the two states are one, stored once.
    name = "model" if epoch == facts["epoch"] else "own_head"
    state = _read_tensors(folder / f"{name}.safetensors")
    if state is None:
        return None
    model = pipeline.new_model(
        data.n_classes, spec.seed, data.device, stored=data.stored, with_weights=False
    )
    model.load_state_dict(state)
    curve = tuple(Progress(**point) for point in facts["curve"])
    return Encoder(
        key=folder.name,
        model=model,
        curve=curve,
        epoch=epoch,
        probe=facts["probe"],
        seconds=facts["seconds"],
        cached=True,
        folder=folder,
        file=folder / f"{name}.safetensors",
        # Encoders of earlier packages do not say it; their batches were whole.
        n_micro=facts.get("n_micro", 1),
        compiled=facts.get("compiled", False),
    )


def _read_tensors(path: Path) -> dict[str, Tensor] | None:
    if not path.is_file():
        return None
    try:
        # Opened first: what may not be read is a file that is not there to safetensors.
        path.open("rb").close()
        return patiently(lambda: load_file(path))
    except FileNotFoundError:
        return None
    except SafetensorError:
        # Cut short by a crash of the machine; who asked makes it anew.
        return None
