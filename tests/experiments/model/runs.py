"""The specs of short confirmed runs."""

from dataclasses import replace

from lmd_bench.core.schema import DataSource, TaskSpec, TrialSpec
from lmd_bench.data.build import build_tasks
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import default_config

SIZE = 16


PICTURES = TaskSpec("folder", image_size=SIZE)


def spec_of(method: str, source: DataSource, asked: TaskSpec = PICTURES, **settings) -> TrialSpec:
    """Return a short confirmation of a method, on the pictures unless another task is given."""
    named = resolve_method(method)
    ((task, fingerprint),) = build_tasks([asked], source)
    quick = {"training.batch_size": 16, "training.stem": "imagenet", "training.lr": 0.002}
    spec = TrialSpec(
        task=task,
        task_fingerprint=fingerprint,
        method=named.name,
        representation=named.representation,
        calibration=named.calibration,
        config=default_config(named, {**quick, **settings}),
        seed=0,
        n_epochs=2,
        versions=named.versions,
    )
    return replace(spec, phase="confirm")
