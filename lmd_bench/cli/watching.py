"""Commands that tell how searches and machines are doing."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.options import RESULTS, Results
from lmd_bench.core.tables import add_plain_row

if TYPE_CHECKING:
    from lmd_bench.leaderboard.tables.text import Part, Table
    from lmd_bench.search.watching.status import Status, StudyStatus
    from lmd_bench.search.watching.traces import Sign
    from lmd_bench.store.following import Follower


@app.command()
def status(results: Results = RESULTS) -> None:
    """Say how far the searches of a folder are; works from any machine that sees the folder."""
    from lmd_bench.cli.emit import write

    write(f"{_drawn(results)}\n")


@app.command()
def watch(
    results: Results = RESULTS,
    seconds: Annotated[float, typer.Option(min=0.5, help="Between two looks.")] = 5.0,
) -> None:
    """Keep the status of a folder's searches on the screen until Ctrl-C."""
    from rich.live import Live
    from rich.text import Text

    from lmd_bench.search.watching.status import follower

    rows = follower(results)
    with Live(Text(_drawn(results, rows)), auto_refresh=False) as live, suppress(KeyboardInterrupt):
        while True:
            time.sleep(seconds)
            live.update(Text(_drawn(results, rows)), refresh=True)


@app.command()
def failures(results: Results = RESULTS) -> None:
    """List failed trials by cause, with a traceback of each."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from lmd_bench.core.text import clock
    from lmd_bench.search.jobs import RETRIED
    from lmd_bench.search.watching import failures
    from lmd_bench.store.store import open_store

    rows = open_store(results).rows()
    kinds = failures.failures(rows, results / "tracebacks")
    console = Console(highlight=False, emoji=False)
    if not kinds:
        console.print(f"None of {len(rows)} trials failed.")
        return
    table = Table("trials", "status", "cause", "methods", "cost", "traceback", box=SIMPLE_HEAD)
    for kind in kinds:
        add_plain_row(
            table,
            str(kind.n_trials),
            kind.status,
            kind.cause,
            ", ".join(kind.methods),
            clock(kind.seconds),
            str(kind.traceback.relative_to(results)) if kind.traceback else "",
        )
    console.print(table)
    console.print(f"{sum(kind.n_trials for kind in kinds)} of {len(rows)} trials failed.")
    if any(kind.status in RETRIED for kind in kinds):
        console.print(
            f"The same search with --retry-failed runs {', '.join(sorted(RETRIED))} again."
        )


@app.command()
def doctor(
    results: Results = RESULTS,
    address: Annotated[
        str, typer.Option(help="Ray cluster whose nodes are looked at; `local`: this machine.")
    ] = "local",
) -> None:
    """Say whether trials would run here and on every node; exit code 1 if something is amiss."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from lmd_bench.search.tune.doctor import look_at

    machines = look_at(results.resolve(), address)
    table = Table("", "host", "cores", "GPUs", "Python", "torch", "Ray", "free", box=SIMPLE_HEAD)
    for machine in machines:
        health = machine.health
        free = health.free_bytes
        add_plain_row(
            table,
            machine.name,
            health.host,
            str(health.n_cores),
            ", ".join(health.gpus) or "none",
            health.python,
            health.versions["torch"],
            health.versions["ray"],
            "" if free is None else f"{free / 2**30:.0f} GiB",
        )
    console = Console(highlight=False, emoji=False)
    console.print(table)
    modes = {machine.health.auth_mode or "none" for machine in machines[1:]}
    mode = ", ".join(sorted(modes)) or "by token, in the cluster that a search starts here"
    console.print(f"Ray's authentication: {mode}")
    troubles = [f"{machine.name}: {text}." for machine in machines for text in machine.troubles]
    console.print("\n".join(troubles) if troubles else "All is well.", markup=False)
    if troubles:
        raise typer.Exit(1)


@app.command()
def dashboard(
    results: Results = RESULTS,
    port: Annotated[int, typer.Option(help="Of the dashboard, on this machine alone.")] = 8080,
) -> None:
    """Rebuild the Optuna studies of a folder and open optuna-dashboard on them."""
    from lmd_bench.search.watching.dashboard import write_studies
    from lmd_bench.store.store import open_store

    file, n_studies = write_studies(open_store(results))
    # The one that is installed beside this package comes before another on the path.
    command = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))
    command = command or shutil.which("optuna-dashboard")
    print(f"{n_studies} {'study is' if n_studies == 1 else 'studies are'} in {file}")
    if command is None:
        print(
            "optuna-dashboard is not installed: pip install 'lmd-bench[dashboard]', then "
            f"optuna-dashboard {file}"
        )
        return
    print(f"optuna-dashboard {file}; Ctrl-C ends it", flush=True)
    with suppress(KeyboardInterrupt):
        subprocess.run([command, "--port", str(port), str(file)], check=False)


def _drawn(results: Path, rows: "Follower | None" = None) -> str:
    """Return the state of a folder's searches, as tables that fit the terminal."""
    from lmd_bench.leaderboard.answer import terminal_width
    from lmd_bench.leaderboard.tables.text import lay_out
    from lmd_bench.search.watching.status import read_status

    parts = [part for search in read_status(results, rows) for part in _parts(search)]
    return "\n".join(lay_out(parts, terminal_width()))


def _parts(search: "Status") -> "list[Part]":
    from lmd_bench.core.text import clock

    parts: list[Part] = []
    for task, members in groupby(search.studies, key=lambda study: study.plan.task):
        parts += [task, _studies(list(members)), ""]
    if search.trace.out_of_use:
        parts += [f"out of use: {text}" for text in search.trace.out_of_use] + [""]
    if search.signs:
        parts += [_running(search.signs), ""]
    left = search.seconds_left
    line = f"{search.done} rows stored, at most {sum(s.left for s in search.studies)} to come"
    return [*parts, line + (f", about {clock(left)} to go" if left else "")]


def _studies(studies: "Sequence[StudyStatus]") -> "Table":
    from lmd_bench.core.text import clock
    from lmd_bench.leaderboard.tables.text import Table

    header = ("method", "trials", "running", "failed", "pruned", "val", "confirmed", "cost")
    rows = [
        (
            study.plan.method,
            f"{study.done}/{study.plan.trials}" if study.plan.trials else "",
            str(study.running or ""),
            str(study.failed or ""),
            str(study.pruned or ""),
            "" if study.best is None else f"{study.best:.3f}",
            f"{study.confirmed}/{study.plan.confirmations}" if study.plan.confirmations else "",
            clock(study.seconds) if study.seconds else "",
        )
        for study in studies
    ]
    return Table(header, rows)


def _running(signs: "Sequence[Sign]") -> "Table":
    from lmd_bench.core.text import clock
    from lmd_bench.leaderboard.tables.text import Table

    header = ("running", "stage", "epoch", "loss", "val", "last heard")
    now = time.time()
    rows = [
        (
            sign.name,
            sign.stage or "starting",
            f"{sign.epoch}/{sign.n_epochs}" if sign.n_epochs else "",
            "" if sign.loss is None else f"{sign.loss:.3f}",
            "" if sign.val_balanced_accuracy is None else f"{sign.val_balanced_accuracy:.3f}",
            f"{clock(max(0.0, now - sign.at))} ago",
        )
        for sign in signs
    ]
    return Table(header, rows)
