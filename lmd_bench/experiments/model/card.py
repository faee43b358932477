"""The model card of an exported model: what it is of, how good it is, what it is not for."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lmd_bench.core.schema import Row
from lmd_bench.core.text import natural_order, task_label
from lmd_bench.data import datasets
from lmd_bench.experiments.model.predict import COVERAGE, FinalModel
from lmd_bench.leaderboard.studies.measure import measure, quiet_note
from lmd_bench.leaderboard.studies.predictions import judged_runs
from lmd_bench.leaderboard.tables.text import with_bounds
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.encoder import encoder_facts
from lmd_bench.methods.settings import section_config
from lmd_bench.stats.conformal import coverage_by_class, prediction_sets
from lmd_bench.stats.intervals import over_images
from lmd_bench.stats.metrics import METRICS
from lmd_bench.stats.proportions import recall_interval
from lmd_bench.store.provenance import package_version
from lmd_bench.store.store import SplitLogits, Store

_NOT_CLINICAL = (
    "For research on long-tailed medical image classification. It is no medical device, was "
    "reviewed by no clinician, and must not guide the care of a patient. What is reported here "
    "holds for images of the same sources, classes and preparation, and says nothing of others."
)


def model_card(store: Store, model: FinalModel, file: str) -> str:
    """Return the text of the card, in Markdown.

    Args:
        store: that holds the run, its logits and its other seeds.
        model: of the run.
        file: name of the model's file beside the card.
    """
    return "\n".join(_lines(store, model, file)) + "\n"


def _lines(store: Store, model: FinalModel, file: str) -> Iterator[str]:
    row, facts = model.row, model.facts
    spec = facts.spec
    yield f"# {spec.method} on {task_label(row)}"
    yield ""
    yield (
        f"`{file}` classifies an image into {len(facts.class_names)} classes: "
        f"{', '.join(facts.class_names)}."
    )
    yield ""
    yield "## Intended use"
    yield ""
    yield _NOT_CLINICAL
    yield ""
    yield "## What it is"
    yield ""
    yield from _table(("", ""), _facts(model))
    yield ""
    yield "## What it takes and gives"
    yield ""
    yield from _interface(model, file)
    yield ""
    yield "## How good it is"
    yield ""
    yield from (_no_metrics(row) if facts.refit else _metrics(store, model))


def _facts(model: FinalModel) -> Iterator[tuple[str, str]]:
    row, facts = model.row, model.facts
    spec = facts.spec
    training: TrainingConfig = section_config("training", spec.config)
    data = datasets.load(spec.task.dataset).card
    yield "data set", f"{data.title} ({data.url})" if data.url else data.title
    yield "licence of the images", data.licence
    yield "task", task_label(row)
    yield "hash of the split", f"`{spec.task_fingerprint}`"
    names, counts = facts.class_names, row["class_counts"]
    order = natural_order(names)
    yield "training images", ", ".join(f"{names[i]} {counts[i]:,}" for i in order)
    yield "method", f"{spec.method}: `{spec.representation}`, then `{spec.calibration}`"
    if spec.task.image_size:
        encoder = encoder_facts(training)
        yield "encoder", f"{encoder.name}, {encoder.features} features, tune {training.tune}"
        yield "weights it started from", encoder.weights or "random"
        if encoder.weights:
            yield "licence of these weights", encoder.licence or "unknown"
            yield "may these weights have seen the test images?", encoder.seen
    else:
        yield "encoder", "not known here: the run was given features"
    yield "trained on", "train and val" if facts.refit else "train; val chose what was chosen"
    yield "configuration", ", ".join(f"`{k}={v}`" for k, v in sorted(spec.config.items()))
    yield "seed, epochs", f"{spec.seed}, {spec.n_epochs}"
    yield "run", f"`{row['key']}`, lmd-bench {row['package_version']}"
    yield "card written by", f"lmd-bench {package_version()}"


def _interface(model: FinalModel, file: str) -> Iterator[str]:
    facts = model.facts
    size = facts.spec.task.image_size
    if not size and facts.stored is not None:
        yield (
            f"Input `features`: float32 [batch, {facts.stored.width}], of the encoder and layer "
            "that the run was given. Outputs: `logits`, and `probabilities`, "
            f"softmax(logits / {facts.temperature:.4g})."
        )
        return
    yield (
        f"Images are RGB, upright, and resized to {size} x {size} pixels with an antialiased "
        "bilinear filter; the aspect ratio is not kept."
    )
    if file.endswith(".safetensors"):
        yield (
            "The tensors are those of an encoder and a head, which `model.json` describes; images "
            "go in as floats in [0, 1] with the mean and std of `model.json` taken out."
        )
    else:
        yield (
            f"Input `images`: float32 [batch, 3, {size}, {size}], values in [0, 1] (8-bit values "
            "over 255); the normalisation is inside. Outputs: `logits`, and `probabilities`, "
            f"softmax(logits / {facts.temperature:.4g})."
        )


def _no_metrics(row: Row) -> Iterator[str]:
    yield (
        "No metric of this model is known: it was trained on train and val together, so nothing is "
        "left to judge it on but test, which was not opened again. Its temperature and what its "
        f"calibration chose on val are those of run `{row['key']}`, which was trained on train "
        "alone with the same configuration."
    )


def _metrics(store: Store, model: FinalModel) -> Iterator[str]:
    row = model.row
    seeds = _seeds(store, row)
    if row["n_test"] is None:
        yield (
            f"Balanced accuracy on val {_percent(row['val_balanced_accuracy'])} %, by which the "
            "epoch was chosen. Test is opened by the confirmation of a search alone."
        )
        return
    judged = judged_runs(store, row["method"], seeds, row)
    if judged is None or model.test is None:
        yield "The predictions of the run were not kept, so no metric has an interval here."
        return
    lesions = judged.clusters
    yield (
        f"On {row['n_test']} test images, opened once; in brackets 95 % intervals. This model: "
        f"over {over_images(lesions)}. The mean of all retrainings of its configuration "
        f"({len(judged.seeds)}): over these and retrainings together; a dash where there is one "
        "alone."
    )
    if note := quiet_note(judged, lesions):
        yield f"Note: {note}."
    yield ""
    lines: list[tuple[str, str, str]] = []
    for metric in METRICS.values():
        if metric.in_board:
            own = measure([(1.0, judged)], [row["seed"]], metric.name, lesions)
            mean = measure([(1.0, judged)], judged.seeds, metric.name, lesions)
            lines.append(
                (
                    metric.title + (", %" if metric.percent else ""),
                    with_bounds(own.value, own.images, in_percent=metric.percent),
                    with_bounds(mean.value, mean.interval, in_percent=metric.percent),
                )
            )
    yield from _table(("metric", "this model", "mean of retrainings"), lines)
    yield ""
    yield from _table(
        ("class", "test images", "recall, %", "95 %", f"in the set made for {COVERAGE:.0%}, %"),
        _classes(model, model.test),
    )


def _classes(model: FinalModel, test: SplitLogits) -> Iterator[tuple[str, ...]]:
    _, labels, logits = test
    n_classes = len(model.class_names)
    counts = np.bincount(labels, minlength=n_classes)
    right = logits.argmax(axis=1) == labels
    hits = np.bincount(labels, weights=right, minlength=n_classes)
    low, high = recall_interval(hits, counts)
    sets = prediction_sets(model.scaled(logits), model.thresholds(COVERAGE))
    held = coverage_by_class(labels, sets)
    for j, name in enumerate(model.class_names):
        recall = hits[j] / counts[j] if counts[j] else float("nan")
        ends = f"{_percent(low[j])} to {_percent(high[j])}"
        yield name, str(counts[j]), _percent(recall), ends, _percent(held[j])


def _seeds(store: Store, row: Row) -> dict[int, Row]:
    """Return the confirmed runs of the configuration of a run by seed, itself among them."""
    same = ("phase", "config_json", "task_fingerprint", "n_epochs", "versions_json")
    return {
        other["seed"]: other
        for other in store.rows(row["study"])
        if other["status"] == "ok" and all(other[name] == row[name] for name in same)
    }


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"
