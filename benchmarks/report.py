"""The report of 40 studies x 100 trials: how long it takes after imports, and how large it is.

    python benchmarks/report.py [--studies 40] [--trials 100] [--images 1000] [--keep DIR]

The rows have every column that a real row has: configs drawn from the shipped search spaces, curves
of 10 epochs, failures, and logits of val and test for the confirmed runs. Two imbalance factors, 20
methods. Prints Markdown for README.md.
"""

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow as pa
import pyarrow.parquet as pq

from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec, content_hash
from lmd_bench.methods.catalogue import Method, named_methods
from lmd_bench.methods.settings import default_config
from lmd_bench.methods.space import search_space
from lmd_bench.stats.metrics import evaluate, per_class_recall
from lmd_bench.store.columns import COLUMNS, LOGITS
from lmd_bench.store.compaction import compact
from lmd_bench.store.row_files import ONE_ROW, write_table
from lmd_bench.store.rows import Row, make_row
from lmd_bench.store.store import open_store

N_SEEDS = 3
CLASSES = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
GROUPS = ["few", "medium", "medium", "few", "many", "many", "few"]
FACTORS = (100.0, 50.0)
NOW = "2026-01-01T00:00:00+00:00"


def study_rows(
    method: Method, factor: float, n_trials: int, n_images: int, rng: np.random.Generator
) -> list[tuple[Row, list[tuple[Any, ...]]]]:
    """Return the rows of one study, with the logits of its confirmed runs."""
    task = TaskSpec("ham10000", imbalance_factor=factor, image_size=64)
    fingerprint = content_hash(["task", factor])
    study = f"ham10000-balanced-if{factor:g}-64px/{method.name}/10ep"
    space = search_space(method.sections)
    sampler = optuna.samplers.RandomSampler(seed=int(rng.integers(2**31)))
    drawn = optuna.create_study(sampler=sampler)
    base = rng.uniform(0.3, 0.6) + 0.05 * (factor < 100)

    def spec_of(config: Any, seed: int, phase: Any) -> TrialSpec:
        pair = (method.name, method.representation, method.calibration)
        return TrialSpec(task, fingerprint, *pair, config, seed, 10, phase, study, {"crt": 1})

    default = default_config(method)
    configs = [default] + [
        {**default, **drawn.ask({k: v for k, v in space.items() if k in default}).params}
        for _ in range(n_trials - 1)
    ]
    searched: list[tuple[Row, list[tuple[Any, ...]]]] = []
    for number, config in enumerate(configs):
        skill = base + 0.1 * float(np.log10(config["training.lr"] / 0.05)) + rng.normal(0, 0.03)
        context = TrialContext(Path(), trial_number=number, is_default=number == 0)
        failed = number > 0 and rng.random() < 0.05
        row = _row(spec_of(config, 7, "search"), context, skill, failed, n_images, rng)[0]
        searched.append((row, []))
    trials = [row for row, _ in searched if row["status"] == "ok"]
    best = max(trials, key=lambda row: row["val_balanced_accuracy"])
    for source in {row["key"]: row for row in (best, searched[0][0])}.values():
        context = TrialContext(
            Path(), trial_number=source["trial_number"], source_key=source["key"]
        )
        for seed in range(N_SEEDS):
            spec = spec_of(json.loads(source["config_json"]), seed, "confirm")
            skill = source["val_balanced_accuracy"] + rng.normal(0, 0.01)
            searched.append(_row(spec, context, skill, False, n_images, rng))
    return searched


def _row(
    spec: TrialSpec, context: TrialContext, skill: float, failed: bool, n_images: int, rng: Any
) -> tuple[Row, list[tuple[Any, ...]]]:
    measured: Row = {"status": "ok", "seconds": rng.uniform(50, 90), "standalone_seconds": 120.0}
    measured |= {"started_at": NOW, "finished_at": NOW, "class_names": CLASSES, "groups": GROUPS}
    factor = spec.task.imbalance_factor or 1.0
    counts = [278, 467, 1053, 6000 / factor, 1066, 6000, 6000 / factor]
    measured |= {"class_counts": [int(count) for count in counts], "n_train": int(sum(counts))}
    if failed:
        return make_row(spec, context, **{**measured, "status": "diverged", "cause": "nan"}), []
    measured |= {"best_epoch": 8, "n_val": n_images, "encoder_key": spec.encoder_key}
    measured["curve"] = [
        {"stage": "representation", "epoch": e, "loss": 2 / e, "val_balanced_accuracy": skill}
        for e in range(1, 11)
    ]
    logits_of: list[tuple[Any, ...]] = []
    confirms = spec.phase == "confirm"
    for split in ("val", "test") if confirms else ("val",):
        labels = np.arange(n_images) % len(CLASSES)
        logits = rng.normal(size=(n_images, len(CLASSES))).astype(np.float32)
        logits[np.arange(n_images), labels] += 4 * skill
        scores = evaluate(labels, logits, tuple(GROUPS))
        measured |= {f"{split}_{name}": value for name, value in scores.items()}
        measured[f"{split}_recall"] = per_class_recall(labels, logits).tolist()
        if confirms:
            logits_of += [
                # Lesions of two images.
                (f"ISIC_{image:07d}", split, int(label), z.tolist(), f"{label}_{image // 14}")
                for image, (label, z) in enumerate(zip(labels, logits, strict=True))
            ]
    if confirms:
        measured["n_test"] = n_images
    return make_row(spec, context, **measured), logits_of


def make_store(root: Path, n_studies: int, n_trials: int, n_images: int) -> Path:
    """Write a store of single files, without the sync of each that a worker does."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    store, rng = open_store(root, create=True), np.random.default_rng(0)
    methods = [m for m in named_methods().values() if not m.settings]
    for number in range(n_studies):
        method = methods[number // len(FACTORS)]
        factor = FACTORS[number % len(FACTORS)]
        for row, logits in study_rows(method, factor, n_trials, n_images, rng):
            table = pa.Table.from_pylist([row], COLUMNS)
            pq.write_table(table, store.trial_file(row["key"]), write_page_checksum=True, **ONE_ROW)
            if logits:
                columns = [dict(zip(LOGITS.names, item, strict=True)) for item in logits]
                write_table(pa.Table.from_pylist(columns, LOGITS), store.logits_file(row["key"]))
    return root


def timed(root: Path, out: Path) -> tuple[float, float]:
    """Return the seconds of work that the report takes in a new process, and its peak MiB."""
    script = (
        "import sys, time; from pathlib import Path; root, out = map(Path, sys.argv[1:])\n"
        "import numpy, pandas, pyarrow.parquet, optuna.importance, jinja2\n"
        "from lmd_bench.report.page import write_report\n"
        "start = time.process_time(); write_report(root, out)\n"
        "seconds = time.process_time() - start\n"
        "assert not {'torch', 'ray'} & set(sys.modules)\n"
        "peak = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]\n"
        "print(seconds, peak)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", script, str(root), str(out)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    seconds, peak = result.stdout.strip().splitlines()[-1].split()
    return float(seconds), float(peak) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--images", type=int, default=1000, help="of val and of test")
    parser.add_argument("--keep", type=Path, help="folder for store and report, made if it lacks")
    parser.add_argument("--profile", action="store_true", help="say which functions take long")
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    if arguments.smallest:
        arguments.studies, arguments.trials, arguments.images = 2, 3, 40
    with tempfile.TemporaryDirectory() as scratch:
        base = arguments.keep or Path(scratch)
        base.mkdir(parents=True, exist_ok=True)
        root, out = base / f"{arguments.studies}x{arguments.trials}", base / "report.html"
        if not root.exists():
            make_store(root, arguments.studies, arguments.trials, arguments.images)
        if arguments.profile:
            from lmd_bench.report.page import write_report

            profile = cProfile.Profile()
            profile.runcall(write_report, root, out)
            pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
            return
        print("| rows lie in | seconds | peak memory | size |\n|---|---|---|---|")
        for kind in ("single files", "one compacted file"):
            seconds, mib = timed(root, out)
            size = out.stat().st_size / 1e6
            print(f"| {kind} | {seconds:.2f} | {mib:.0f} MiB | {size:.2f} MB |", flush=True)
            compact(root)


if __name__ == "__main__":
    main()
