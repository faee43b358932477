"""The command that judges confirmed models on other images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmd_bench.cli.app import app, command_line
from lmd_bench.cli.compare import Format
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import RESULTS, Results, SplitDir
from lmd_bench.core.errors import UserError
from lmd_bench.data.options import DataOptions

if TYPE_CHECKING:
    from lmd_bench.leaderboard.answer import Answer


@app.command()
@expanded
def evaluate(
    keys: Annotated[
        list[str],
        typer.Argument(help="Keys of confirmed runs, or of search rows for all that confirm them."),
    ],
    data: DataOptions,
    dataset: Annotated[
        str | None, typer.Option(help="Another data set; nothing is trained on it.")
    ] = None,
    class_map: Annotated[
        Path | None,
        typer.Option(help="YAML of its classes: the model's; default: classes of equal names."),
    ] = None,
    own_root: Annotated[
        Path | None, typer.Option(help="Folder of the run's own data, whose images are left out.")
    ] = None,
    corrupt: Annotated[
        bool,
        typer.Option("--corrupt", help="Instead: its own test images, corrupted in five ways."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the corruptions' draws.")] = 0,
    svg: Annotated[
        Path | None, typer.Option(help="File for the curve of --corrupt, an SVG.")
    ] = None,
    part: Annotated[
        Literal["rows", "classes", "differences"] | None,
        typer.Option(help="What csv holds.", show_default="rows"),
    ] = None,
    split_dir: SplitDir = None,
    results: Results = RESULTS,
    format: Format = "table",
) -> None:
    """Judge models on another data set, or on corrupted test images, without training."""
    from lmd_bench.cli.emit import check_part, emit
    from lmd_bench.cli.progress import image_progress
    from lmd_bench.experiments.evaluation.corruption import evaluate_corrupted
    from lmd_bench.experiments.evaluation.external import evaluate_external
    from lmd_bench.store.store import open_store

    check_part(part, format)
    if corrupt == (dataset is not None):
        raise UserError("Give --dataset for another data set, or --corrupt; one of them.")
    store, source = open_store(results), data.source(split_dir)
    with image_progress() as on_images, image_progress("Judging") as judging:

        def on_done(done: int, total: int) -> None:
            judging("images", done, total)

        if dataset is None:
            answer = evaluate_corrupted(
                store,
                keys,
                source,
                seed=seed,
                command=command_line(),
                on_images=on_images,
                on_done=on_done,
            )
        else:
            answer = evaluate_external(
                store,
                keys,
                dataset,
                source,
                class_map=class_map,
                own_root=own_root,
                command=command_line(),
                on_images=on_images,
                on_done=on_done,
            )
    emit(answer, format, part)
    if svg is not None:
        _draw(answer, svg, corrupt)


def _draw(answer: "Answer", svg: Path, corrupt: bool) -> None:
    from lmd_bench.core.files import asked_file
    from lmd_bench.report.corruption_curve import corruption_curve

    if not corrupt:
        raise UserError("Option --svg draws the curve of --corrupt; leave it out.")
    with asked_file(svg) as temporary:
        temporary.write_text(corruption_curve(answer.frame), "utf-8")
