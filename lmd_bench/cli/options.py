"""Options that several commands share; groups of them are dataclasses, see `option_groups`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import typer

from lmd_bench.cli import completion
from lmd_bench.core import paths
from lmd_bench.core.options import Option

Dataset = Annotated[
    str,
    typer.Option(
        help="Data set; `lmd-bench datasets` lists them.", autocompletion=completion.datasets
    ),
]
ImageSize = Annotated[int, typer.Option(min=8, help="Side of the square images, in pixels.")]
Factor = Annotated[str, typer.Option(help="n_max / n_min of train, or `natural`.")]
Factors = Annotated[
    list[str] | None,
    typer.Option(
        "--imbalance-factor",
        help="n_max / n_min of train, or `natural` (default); repeat or use commas.",
    ),
]
Epochs = Annotated[int, typer.Option(min=1, help="Epochs of stage 1.")]
Seed = Annotated[int, typer.Option(help="Base of all training seeds.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Fix a hyperparameter: section.key=value; repeat."),
]
SplitDir = Annotated[
    Path | None, typer.Option(help="Folder, or one file in it, of published splits for official.")
]
Results = Annotated[Path, typer.Option(help="Folder of the results.")]
RESULTS = paths.default_results()
OfStudies = Annotated[str, typer.Option("--study", help="Only studies whose id holds this text.")]


@dataclass(frozen=True)
class AblationOptions:
    """How the cells of an ablation are made and run."""

    panel: ClassVar[str] = "Cells"

    mode: Annotated[
        Literal["rows", "one_out", "one_in", "full", "fractional"] | None,
        Option("Which cells are made of the parts; default: the file's."),
    ] = None
    retune: Annotated[
        int | None,
        Option("Trials that tune each cell; 0: none; default: the file's.", low=0),
    ] = None
    epochs: Annotated[int, Option("Epochs of stage 1.", low=1)] = 10
    confirm_seeds: Annotated[
        int,
        typer.Option(
            "--confirm-seeds",
            "--seeds",
            help="Fresh seeds that each cell is run on.",
            rich_help_panel=panel,
        ),
    ] = 5
    base_from: Annotated[
        Path | None, Option("Earlier results folder, whose best config of the base is taken.")
    ] = None
