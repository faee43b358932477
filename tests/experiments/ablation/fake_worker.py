"""A worker without training: real rows and logits in a real store, planted by the job's config."""

from collections.abc import Callable

import numpy as np

from lmd_bench.core.seeding import derive_seed
from lmd_bench.search.jobs import Job
from lmd_bench.search.queue import JobQueue, Signal
from lmd_bench.stats import metrics
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import Store

GROUPS = ("many", "medium", "few")
N_IMAGES = 40  # of each class
START = "2025-01-01T00:00:00+00:00"


def chance(config) -> float:
    """Return how often a config is right: .5, +.2 with L_batch, +.1 with the gradient of GCE."""
    batch = config.get("rrl.batch_loss_weight", 0) > 0
    return 0.5 + 0.2 * batch + 0.1 * bool(config.get("icc.estep_gce_grad", False))


def drawn(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and logits that are right as often as planted, the same images for a seed."""
    rng = np.random.default_rng(derive_seed(job.spec.seed, "images"))
    labels = np.repeat(np.arange(3), N_IMAGES).astype(np.int64)
    right = rng.random(len(labels)) < chance(job.spec.config)
    answer = np.where(right, labels, (labels + 1) % 3)
    return labels, np.eye(3)[answer] * 4


def work(job: Job, store: Store, status: str = "ok") -> None:
    """Write the row of a job."""
    columns = {"status": status, "seconds": 2.0, "standalone_seconds": 6.0}
    columns |= {"started_at": START, "finished_at": START}
    if status != "ok":
        store.write(make_row(job.spec, job.context, **columns, cause="loss nan in epoch 1"))
        return
    labels, logits = drawn(job)
    splits = ("val", "test") if job.spec.phase == "confirm" else ("val",)
    columns |= {"class_names": ["a", "b", "c"], "class_counts": [50, 20, 5]}
    columns |= {"groups": list(GROUPS)}
    rows = []
    for split in splits:
        found = metrics.evaluate(labels, logits, GROUPS)
        columns |= {f"{split}_{name}": value for name, value in found.items()}
        rows += [
            (f"i{i:03}", split, int(label), [float(v) for v in line])
            for i, (label, line) in enumerate(zip(labels, logits, strict=True))
        ]
    store.write(make_row(job.spec, job.context, **columns), rows)


def run_all(
    queue: JobQueue,
    store: Store,
    most: int = 10_000,
    status: Callable[[Job], str] = lambda job: "ok",
) -> list[str]:
    """Run at most `most` jobs; return their keys."""
    ran: list[str] = []
    while len(ran) < most:
        job = queue.next()
        if isinstance(job, Signal):
            break
        work(job, store, status(job))
        queue.ended(job.key, "")
        ran.append(job.key)
    return ran
