"""Commands on the store of results: gather, join, explain and repeat its rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import RESULTS, Results, SplitDir
from lmd_bench.data.options import DataOptions

if TYPE_CHECKING:
    from lmd_bench.store.merging import Conflict

_LABELS = 12  # width of what the lines of `explain` are called
_LISTED = 20  # conflicts of one folder that are printed
Key = Annotated[str, typer.Argument(help="Key of a row; the beginning is enough if it is unique.")]


@app.command()
def compact(
    results: Results = RESULTS,
    logits: Annotated[
        Literal["single", "gathered", "rounded"],
        typer.Option(
            help="Logits: leave them one file a trial, gather them too, or gather them rounded as "
            "far as no metric changes at four digits."
        ),
    ] = "single",
) -> None:
    """Gather the rows of many small files in one; safe while searches write and if it is killed."""
    from lmd_bench.store import compaction

    done = compaction.compact(results)
    if done.file is None:
        print(f"{results}: there are no rows to gather")
    elif done.n_gathered == 0:
        print(f"{results}: all {done.n_rows} rows are gathered already, in {done.file.name}")
    else:
        print(
            f"{results}: {done.n_gathered} single files gathered; {done.n_rows} rows in "
            f"compacted/{done.file.name}"
        )
    for path in done.damaged:
        print(f"left where it is, cannot be read: {path.relative_to(results)}")
    for path in done.later:
        print(f"left where it is, written by a later lmd-bench: {path.relative_to(results)}")
    if logits != "single":
        _gather_logits(results, rounded=logits == "rounded")


def _gather_logits(results: Path, *, rounded: bool) -> None:
    from lmd_bench.store import gathering

    done = gathering.gather(results, rounded=rounded)
    if done.file is None:
        print(f"{results}: there are no logits to gather")
    else:
        print(
            f"{results}: logits of {done.n_trials} trials in gathered/{done.file.name}, "
            f"{done.n_gathered} single files gathered, {done.n_rounded} trials rounded"
        )
    for path in done.damaged:
        print(f"left where it is, cannot be read: {path.relative_to(results)}")


@app.command()
def clean(
    results: Results = RESULTS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
) -> None:
    """Remove what killed runs left and encoders that nobody will ask for; rows and models stay."""
    from lmd_bench.search.tune.claims import claimed
    from lmd_bench.search.watching.status import open_studies
    from lmd_bench.store.cleaning import leftovers, unused_encoders
    from lmd_bench.store.store import open_store

    store = open_store(results)
    studies = open_studies(results)
    # No search may begin to use what is just being removed.
    with claimed(results, studies):
        litter, encoders = leftovers(results), unused_encoders(store, studies)
        for name, part in (("files of killed runs", litter), ("encoders", encoders)):
            print(f"{results}: {len(part.paths)} {name}, {part.n_bytes / 1e6:.1f} MB")
            if not dry_run:
                part.remove()
    print("nothing was removed" if dry_run else "removed")


@app.command()
def explain(key: Key, results: Results = RESULTS) -> None:
    """Print where a row comes from: task, study, source, encoder, seeds, versions, cost."""
    from lmd_bench.leaderboard.answer import terminal_width
    from lmd_bench.leaderboard.tables.text import lay_out
    from lmd_bench.store.lineage import describe, lineage
    from lmd_bench.store.store import open_store

    store = open_store(results)
    room = terminal_width() - _LABELS
    for name, text in describe(lineage(store, store.find(key))):
        label = f"{name:<{_LABELS}}"
        # a command line is copied, so no line end may get into it
        lines = [text] if name == "command" else lay_out(text.split("\n"), room)
        for line in lines:
            # an id that is wider than its column is whole on a line of its own
            if len(line) > room and " " not in line:
                print(label.rstrip())
                label = ""
            print(f"{label}{line}")
            label = " " * _LABELS


@app.command()
@expanded
def reproduce(
    key: Key,
    data: DataOptions,
    split_dir: SplitDir = None,
    results: Results = RESULTS,
    record: Annotated[
        bool, typer.Option("--record", help="Keep what came out, with hashes, beside the rows.")
    ] = False,
) -> None:
    """Run a row's trial again from nothing; exit code 1 if something else comes out."""
    from lmd_bench.cli.progress import epoch_bars, image_progress
    from lmd_bench.experiments import reproduce
    from lmd_bench.store.reproductions import write_record
    from lmd_bench.store.store import open_store

    store = open_store(results)
    row = store.find(key)
    with image_progress() as on_images, epoch_bars() as on_epoch:
        repeated = reproduce.reproduce(store, row, data.source(split_dir), on_epoch, on_images)
    name = f"{row['key']} ({row['method']}, {row['phase']}, seed {row['seed']})"
    print(f"{name}: {repeated.verdict}")
    if repeated.verdict == "bit-equal":
        kept = bool(store.read_logits(row["key"]))
        print("all metrics" + (" and logits are" if kept else " are, no logits were kept"))
    for title, lines in (
        ("came out otherwise", repeated.outcome),
        ("beside the seeds", repeated.spread),
        ("made otherwise", repeated.provenance),
    ):
        for line in lines:
            print(f"{title}: {line}")
    if repeated.not_compared:
        columns = ", ".join(repeated.not_compared)
        print(f"not compared, since the row does not hold them: {columns}")
    if record and repeated.record is not None:
        print(f"recorded: {write_record(results, repeated.record)}")
    if repeated.verdict == "different":
        raise typer.Exit(1)


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Results folders; they are only read.")],
    into: Annotated[Path, typer.Option(help="Results folder, made where there is none.")],
    private: Annotated[
        bool,
        typer.Option(
            "--private", help="Leave out image ids, logits, kept models and command lines."
        ),
    ] = False,
    logits: Annotated[
        Literal["all", "test", "tuned"],
        typer.Option(
            help="Logits to bring: all, those on test alone, or of these the tuned configurations'."
        ),
    ] = "all",
    study: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Only studies whose id holds TEXT, such as if100; repeat."
        ),
    ] = None,
) -> None:
    """Join results of several sites in one folder; exit code 1 if a trial has two outcomes."""
    from lmd_bench.store import merging
    from lmd_bench.store.store import open_store

    arrivals = merging.merge(folders, into, private=private, logits=logits, studies=study or ())
    for arrival in arrivals:
        n_stored = arrival.n_rows - arrival.n_new - len(arrival.conflicts)
        print(
            f"{arrival.source}: {arrival.n_rows} rows, {arrival.n_new} new, {n_stored} already "
            f"there, {len(arrival.conflicts)} with another value"
        )
        for conflict in arrival.conflicts[:_LISTED]:
            print(f"  {_sentence(conflict, into)}")
        if len(arrival.conflicts) > _LISTED:
            print(f"  and {len(arrival.conflicts) - _LISTED} more, in {into / 'conflicts'}")
        for path in arrival.damaged:
            print(f"  left out, cannot be read: {path}")
    for line in merging.describe_tasks(open_store(into)):
        print(line)
    if any(arrival.conflicts for arrival in arrivals):
        raise typer.Exit(1)


@app.command()
def sync(
    folder: Annotated[Path, typer.Argument(help="Results folder; it is only read.")],
    to: Annotated[
        str, typer.Option(help="Tracker: mlflow, wandb, tensorboard, trackio, or your own.")
    ],
    uri: Annotated[
        str, typer.Option(help="Where its runs go: a URL or a folder; not given: in the results.")
    ] = "",
) -> None:
    """Send the rows of a results folder to a tracker; what is there already is not sent again."""
    from lmd_bench.cli.progress import image_progress
    from lmd_bench.tracking.sending import Destination, send_all

    place, name = Destination(to, uri), f"rows to {to}"
    with image_progress("Sending") as progress:
        done = send_all(folder, place, lambda n, total: progress(name, n, total))
    print(f"{done.n_sent} rows sent to {to} at {done.uri}; {done.n_before} were there")


def _sentence(conflict: "Conflict", into: Path) -> str:
    row = conflict.row
    size = (
        f"differs by at most {conflict.size:.4g} ({conflict.score})"
        if conflict.score
        else conflict.details[0]
    )
    return (
        f"{row['key']} ({row['method']}, {row['phase']}, seed {row['seed']}) {size}; set aside as "
        f"{conflict.file.relative_to(into)}"
    )
