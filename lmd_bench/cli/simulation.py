"""The command that replays stored trials."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import RESULTS, Results

Folder = Annotated[Path | None, typer.Option(help="Read an exported table in place of --results.")]
Export = Annotated[
    Path | None, typer.Option(help="Write the stored trials to this new folder; replay nothing.")
]
_PARTS = ("samplers", "pruners", "stages")


@dataclass(frozen=True)
class ReplayOptions:
    """What is replayed, and how often."""

    sampler: Annotated[
        str, typer.Option(help="By comma: random, tpe, qmc, cmaes, nsga2, gp (slow, loads torch).")
    ] = "random,tpe,qmc"
    pruner: Annotated[str, typer.Option(help="By comma: none, median, halving, hyperband.")] = (
        "none,median,halving,hyperband"
    )
    trials: Annotated[
        int | None, typer.Option(help="Trials a replay; by default half of each table.")
    ] = None
    hours: Annotated[float | None, typer.Option(help="Instead: hours of the simulated clock.")] = (
        None
    )
    workers: Annotated[int, typer.Option(help="Trials at once.")] = 1
    repeats: Annotated[int, typer.Option(help="ReplayOptions of each.")] = 30
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
    results: Results = RESULTS,
    table: Folder = None,
    export: Export = None,
    format: Annotated[
        Literal["table", "csv", "json"], typer.Option(help="Of what is printed.")
    ] = "table",
) -> None:
    """Replay stored trials in seconds: which sampler, pruner and staging would have found what."""
    from lmd_bench.cli.simulation_show import print_simulation
    from lmd_bench.experiments.simulation.simulate import Request

    request = Request(
        samplers=_names(replays.sampler),
        pruners=_names(replays.pruner),
        n_trials=replays.trials,
        hours=replays.hours,
        n_workers=replays.workers,
        repeats=replays.repeats,
        seed=replays.seed,
        top_k=replays.top_k,
        methods=_names(method or ""),
        ignore_deferral=replays.ignore_deferral,
        parts=_PARTS if show is None else (show,),
    )
    print_simulation(table or results, table is not None, request, format, export)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
