"""The command that replays stored trials."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.compare import Format
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import RESULTS, Results

Folder = Annotated[Path | None, typer.Option(help="Read an exported table in place of --results.")]
Export = Annotated[
    Path | None, typer.Option(help="Write the stored trials to this new folder; replay nothing.")
]


@dataclass(frozen=True)
class ReplayOptions:
    """What is replayed, and how often."""

    sampler: Annotated[
        str, typer.Option(help="By comma: random, tpe, qmc, cmaes, nsga2, gp (slow, loads torch).")
    ] = "random,tpe,qmc"
    pruner: Annotated[str, typer.Option(help="By comma: none, median, halving, hyperband.")] = (
        "none,median,halving,hyperband"
    )
    grace_period: Annotated[int, typer.Option(help="Epochs before a pruner may end a trial.")] = 1
    trials: Annotated[
        int | None, typer.Option(help="Trials a replay; by default half of each table.")
    ] = None
    hours: Annotated[float | None, typer.Option(help="Instead: hours of the simulated clock.")] = (
        None
    )
    workers: Annotated[int, typer.Option(help="Trials at once.")] = 1
    repeats: Annotated[int, typer.Option(help="Replays of each.")] = 30
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0
    top_k: Annotated[int, typer.Option(help="Encoders that a calibration may stand on.")] = 3
    ignore_deferral: Annotated[
        bool,
        typer.Option(
            "--ignore-deferral", help="Show, too, what pruners do that judge from epoch 1 on."
        ),
    ] = False


@app.command()
@expanded
def simulate(
    replays: ReplayOptions,
    method: Annotated[str | None, typer.Option(help="Of these methods alone, by comma.")] = None,
    show: Annotated[
        Literal["samplers", "pruners", "stages"] | None, typer.Option(help="All if not given.")
    ] = None,
    selection: Annotated[
        bool,
        typer.Option(
            "--selection", help="Instead: races on fresh seeds against the best val score."
        ),
    ] = False,
    select_top: Annotated[int, typer.Option(min=1, help="As a search takes it.")] = 3,
    select_seeds: Annotated[int, typer.Option(min=1, help="As a search takes it.")] = 3,
    results: Results = RESULTS,
    table: Folder = None,
    export: Export = None,
    format: Format = "table",
) -> None:
    """Replay stored trials in seconds: which sampler, pruner and staging would have found what."""
    from rich.console import Console

    from lmd_bench.cli.emit import emit
    from lmd_bench.core.errors import UserError
    from lmd_bench.experiments.simulation import simulate
    from lmd_bench.experiments.simulation.text import answer

    methods = _names(method or "")
    if selection:
        if table is not None or export is not None:
            raise UserError("--selection replays the rows of --results; leave out the table.")
        from lmd_bench.experiments.simulation.selection import selection as replay_selection

        with Console(stderr=True).status("reading") as status:
            raced = replay_selection(
                results,
                top=select_top,
                rounds=select_seeds,
                trials=replays.trials,
                repeats=replays.repeats,
                seed=replays.seed,
                methods=methods,
                on_step=status.update,
            )
        emit(raced, format)
        return
    if export is not None:
        if table is not None:
            raise UserError("--export takes the rows of --results; leave out --table.")
        tables = simulate.export(results, methods, export)
        n_trials = sum(len(exported.trials) for exported in tables)
        print(
            f"{export}: {n_trials} trials of {len(tables)} studies, without images, ids, logits or "
            f"command lines; lmd-bench simulate --table {export} replays them"
        )
        return
    parts = simulate.PARTS if show is None else (show,)
    if format == "csv" and len(parts) > 1:
        raise UserError(f"A CSV holds one table; name it with --show: {', '.join(parts)}.")
    request = simulate.Request(
        samplers=_names(replays.sampler),
        pruners=_names(replays.pruner),
        n_trials=replays.trials,
        hours=replays.hours,
        n_workers=replays.workers,
        repeats=replays.repeats,
        seed=replays.seed,
        top_k=replays.top_k,
        methods=methods,
        ignore_deferral=replays.ignore_deferral,
        grace_period=replays.grace_period,
        parts=parts,
    )
    with Console(stderr=True).status("reading") as status:
        replayed = simulate.simulate(table or results, table is not None, request, status.update)
    emit(answer(replayed), format)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
