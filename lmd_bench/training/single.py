"""One trial from the command line: no Ray, a progress bar, its result in the terminal."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as ProgressBar

from lmd_bench.core import paths, plugins
from lmd_bench.core.machine import n_cores
from lmd_bench.core.schema import DataSource, Progress, Scalar, TaskSpec, TrialContext, TrialSpec
from lmd_bench.data.build import build_tasks
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.space import check_keys, default_config, parse_settings
from lmd_bench.store.store import open_store
from lmd_bench.training.device import n_gpus


def train_one(
    task: TaskSpec,
    method_name: str,
    n_epochs: int,
    seed: int,
    settings: list[str],
    results: Path,
    source: DataSource,
    command: str,
) -> dict[str, Any]:
    """Run one trial of a method, print how it went on val, and return its row.

    Raises:
        UserError: unknown names, settings that are not allowed, or data that are not there.
    """
    method = resolve_method(method_name)
    overrides: dict[str, Scalar] = parse_settings(settings)
    check_keys(overrides, [method])
    config = default_config(method, overrides)
    open_store(results, create=True)
    ((task, fingerprint),) = build_tasks([task], source)
    spec = TrialSpec(
        task=task,
        task_fingerprint=fingerprint,
        method=method.name,
        representation=method.representation,
        calibration=method.calibration,
        config=config,
        seed=seed,
        n_epochs=n_epochs,
        phase="single",
        study=f"single/{method.name}",
        versions={
            method.representation: plugins.load("representation", method.representation).VERSION,
            method.calibration: plugins.load("calibration", method.calibration).VERSION,
        },
    )
    context = TrialContext(
        results=results,
        source=paths.located(task.dataset, source),
        n_threads=n_cores(),
        gpu_share=float(min(1, n_gpus())),
        is_default=not overrides,
        command=command,
    )
    row = run_with_progress(spec, context)
    _print(row)
    return row


def run_with_progress(spec: TrialSpec, context: TrialContext) -> dict[str, Any]:
    """Run one trial in this process, with a progress bar on stderr, and return its row."""
    from lmd_bench.training.trial import execute_trial

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with ProgressBar(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, Any] = {}

        def report(point: Progress) -> None:
            if point.stage not in bars:
                bars[point.stage] = progress.add_task(point.stage, total=point.n_epochs, facts="")
            facts = f"loss {point.loss:.3f}  val {100 * point.val_balanced_accuracy:.1f} %"
            progress.update(bars[point.stage], completed=point.epoch, facts=facts)

        return execute_trial(spec, context, report)


def _print(row: dict[str, Any]) -> None:
    console = Console()
    if row["status"] != "ok":
        console.print(f"[red]{row['status']}[/red]: {row['cause']}", highlight=False)
        return
    recall = ", ".join(
        f"{name} {100 * value:.0f}"
        for name, value in zip(row["class_names"], row["val_recall"], strict=True)
    )
    console.print(
        f"{row['method']} on {row['dataset']}, seed {row['seed']}: val balanced accuracy "
        f"{100 * row['val_balanced_accuracy']:.1f} %, macro-F1 {100 * row['val_macro_f1']:.1f} %, "
        f"many/medium/few recall {100 * row['val_many_recall']:.1f} / "
        f"{100 * row['val_medium_recall']:.1f} / {100 * row['val_few_recall']:.1f} % "
        f"(best stage-1 epoch {row['best_epoch']}, {row['seconds']:.0f} s)\n"
        f"recall by class, %: {recall}\nrow {row['key']}; test stays closed until a search's "
        "confirmation",
        highlight=False,
    )
