"""Commands that use the model of a confirmed run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import RESULTS, Results, SplitDir
from lmd_bench.core.errors import UserError
from lmd_bench.data.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd

RunKey = Annotated[
    str, typer.Argument(help="Key of a confirmed run; the beginning is enough if it is unique.")
]
Refit = Annotated[
    bool, typer.Option("--refit", help="The model trained on train and val with its config.")
]
_ENDINGS = (".csv", ".parquet")


@app.command()
def predict(
    key: RunKey,
    images: Annotated[
        list[Path], typer.Argument(help="Images, folders of them, or CSVs that list them.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="CSV or Parquet file; default: CSV on the screen.")
    ] = None,
    coverage: Annotated[
        float, typer.Option(help="Share of images whose prediction set holds the right class.")
    ] = 0.9,
    image_column: Annotated[
        str | None, typer.Option(help="Column of a CSV that names the images; default: its first.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the computation; default: the run's.")
    ] = None,
    refit: Refit = False,
    results: Results = RESULTS,
) -> None:
    """Ask the model of a confirmed run about images; exit code 1 if any cannot be read."""
    from lmd_bench.cli.progress import image_progress
    from lmd_bench.experiments.results import open_results

    if out is not None and out.suffix.lower() not in _ENDINGS:
        raise UserError(f"--out {out} has another ending than {' or '.join(_ENDINGS)}.")
    model = open_results(results).model(key, refit=refit)
    with image_progress("Predicting") as on_images:
        predictions = model.predict(
            images,
            coverage=coverage,
            image_column=image_column,
            n_threads=threads,
            on_done=lambda done, total: on_images("images", done, total),
        )
    _write(predictions.frame, out)
    for note in predictions.notes:
        print(f"Note: {note}.", file=sys.stderr)
    for fault in predictions.unreadable:
        print(f"left out, cannot be read: {fault}", file=sys.stderr)
    if predictions.unreadable:
        raise typer.Exit(1)


@app.command()
@expanded
def export(
    key: RunKey,
    out: Annotated[Path, typer.Option(help="New folder for the model and its card.")],
    data: DataOptions,
    format: Annotated[
        Literal["safetensors", "onnx", "torchscript"],
        typer.Option(help="How the model is written; onnx needs the extra `export`."),
    ] = "safetensors",
    refit: Annotated[
        bool,
        typer.Option("--refit", help="Train its config on train and val first; not judged."),
    ] = False,
    split_dir: SplitDir = None,
    results: Results = RESULTS,
) -> None:
    """Write the model of a confirmed run to a folder of its own, with a model card."""
    from lmd_bench.cli.progress import epoch_bars, image_progress
    from lmd_bench.experiments.model import refit as refits
    from lmd_bench.experiments.model.export import check_free, export_model
    from lmd_bench.experiments.model.predict import final_model
    from lmd_bench.store.store import open_store

    check_free(out)
    store = open_store(results)
    if refit:
        with image_progress() as on_images, epoch_bars() as on_epoch:
            model = refits.refit(store, key, data.source(split_dir), on_epoch, on_images)
    else:
        model = final_model(store, key)
    file = export_model(store, model, format, out)
    print(f"{file}: {file.stat().st_size / 2**20:.1f} MiB, with model.json and README.md")


def _write(frame: "pd.DataFrame", out: Path | None) -> None:
    from lmd_bench.core.files import asked_file

    if out is None:
        frame.to_csv(sys.stdout, index=False)
        return
    with asked_file(out) as temporary:
        if out.suffix.lower() == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, index=False)
    print(f"{out}: {len(frame)} images")
