"""Options that several commands share, as dataclasses that a command takes as one parameter."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from lmd_bench.core import paths
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, RareClasses, TableColumns

Dataset = Annotated[str, typer.Option(help="Data set; `lmd-bench datasets` lists them.")]
Datasets = Annotated[list[str], typer.Option("--dataset", help="Data sets; repeat or use commas.")]
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


@dataclass(frozen=True)
class DataOptions:
    """Where images and labels are read from."""

    data_root: Annotated[
        Path | None,
        typer.Option(help="Folder of the raw images; default $LMD_BENCH_DATA/<dataset>."),
    ] = None
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on with the images that are present.")
    ] = False
    images_csv: Annotated[
        Path | None, typer.Option(help="CSV that lists the images of --dataset folder.")
    ] = None
    image_column: Annotated[
        str | None, typer.Option(help="Its column of file names, with or without ending.")
    ] = None
    label_column: Annotated[str | None, typer.Option(help="Its column of classes.")] = None
    group_column: Annotated[
        str | None, typer.Option(help="Its column of patients or lesions, which no split parts.")
    ] = None
    split_column: Annotated[
        str | None, typer.Option(help="Its column of train, val, test for --protocol official.")
    ] = None
    rare_classes: Annotated[
        RareClasses,
        typer.Option(help="Classes of too few images: refuse, drop, or merge into one."),
    ] = "refuse"
    rare_below: Annotated[
        int, typer.Option(min=1, help="Images below which a class is dropped or merged.")
    ] = DataSource.rare_below

    def source(self, split_dir: Path | None = None) -> DataSource:
        """Return the data source that the options name.

        Raises:
            UserError: only a part of what describes a CSV was given.
        """
        return DataSource(
            root=self.data_root,
            allow_missing=self.allow_missing,
            split_dir=split_dir,
            columns=self._columns(),
            rare_classes=self.rare_classes,
            rare_below=self.rare_below,
        )

    def _columns(self) -> TableColumns | None:
        csv, image, label = self.images_csv, self.image_column, self.label_column
        if csv is not None and image is not None and label is not None:
            return TableColumns(csv, image, label, self.group_column, self.split_column)
        given = (csv, image, label, self.group_column, self.split_column)
        if any(value is not None for value in given):
            raise UserError(
                "A folder with a CSV is described by --images-csv, --image-column and "
                "--label-column together (and --group-column, --split-column if it has them); "
                "give all three."
            )
        return None


@dataclass(frozen=True)
class Resources:
    """What a search may use, and where."""

    max_concurrent: Annotated[int | None, typer.Option(help="Trials at once.")] = None
    cpus_per_trial: Annotated[int | None, typer.Option(help="Cores, and threads, a trial.")] = None
    gpus_per_trial: Annotated[
        str | None, typer.Option(help="GPUs a trial, or a share; `auto` measures what is needed.")
    ] = None
    address: Annotated[
        str, typer.Option(help="Ray cluster to join; `local` starts one on loopback.")
    ] = "local"
    mirror: Annotated[
        str, typer.Option(help="URL (s3://, sftp://, ...) that all rows are put to and taken from.")
    ] = ""
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what Ray prints, too.")] = False

    def fields(self) -> dict[str, Any]:
        """Return the resources as a search is asked for them.

        Raises:
            UserError: a share of a GPU that is no number.
        """
        share: float | str | None = self.gpus_per_trial
        if share is not None and share != "auto":
            try:
                share = float(share)
            except ValueError:
                raise UserError(
                    f"--gpus-per-trial {share} is neither a number nor `auto`; give, say, 0.5."
                ) from None
        return vars(self) | {"gpus_per_trial": share}


@dataclass(frozen=True)
class Budget:
    """How much each study gets, and each trial."""

    trials: Annotated[
        int | None, typer.Option(help="Trials of each study, the default first; 8 if not given.")
    ] = None
    gpu_hours: Annotated[
        float | None,
        typer.Option(help="Instead: hours of a GPU for each study; of a core where there is none."),
    ] = None
    epochs: Epochs = 10
    confirm_seeds: Annotated[
        int, typer.Option(help="Fresh seeds that the chosen and default configs are retrained on.")
    ] = 3
    trial_timeout: Annotated[
        float | None, typer.Option(help="Minutes after which a trial ends, at its next epoch.")
    ] = None

    def fields(self) -> dict[str, Any]:
        """Return the budget as a search is asked for it.

        Raises:
            UserError: trials and hours at once.
        """
        if self.trials is not None and self.gpu_hours is not None:
            raise UserError("A study has --trials or --gpu-hours as its budget; give one of them.")
        minutes = self.trial_timeout
        return {
            "n_trials": 8 if self.trials is None else self.trials,
            "hours": self.gpu_hours,
            "n_epochs": self.epochs,
            "confirm_seeds": self.confirm_seeds,
            "trial_seconds": None if minutes is None else 60 * minutes,
        }


@dataclass(frozen=True)
class Strategy:
    """How configs are proposed, equal for all studies of a search."""

    sampler: Annotated[str, typer.Option(help="tpe, random, cmaes, gp, nsga2 or qmc.")] = "tpe"
    pruner: Annotated[
        str, typer.Option(help="none, median, halving or hyperband: ends trials that fall behind.")
    ] = "none"
    objectives: Annotated[
        str, typer.Option(help="One or two metrics on val for the sampler, by comma.")
    ] = "balanced_accuracy"
    joint: Annotated[
        bool, typer.Option("--joint", help="Search both stages together, not one on the other.")
    ] = False
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same trials at any concurrency.")
    ] = False
    top_k: Annotated[
        int, typer.Option(help="Encoders, best on val, that a calibration may stand on.")
    ] = 3

    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Run again what was lost, timed out, ran out of memory or erred."
        ),
    ] = False

    def fields(self) -> dict[str, Any]:
        """Return the strategy as a search is asked for it."""
        objectives = tuple(name.strip() for name in self.objectives.split(","))
        return vars(self) | {"objectives": objectives}


@dataclass(frozen=True)
class Drawn:
    """What configs are drawn from, beside the shipped ranges."""

    range: Annotated[
        list[str] | None,
        typer.Option(help="Search section.key=low:high (or one,another) instead; repeat."),
    ] = None
    points: Annotated[
        Path | None, typer.Option(help="YAML list of configs to try right after the default.")
    ] = None
    warm_start: Annotated[
        Path | None, typer.Option(help="Earlier results folder, whose best configs come next.")
    ] = None


@dataclass(frozen=True)
class AblationOptions:
    """How the cells of an ablation are made and run."""

    mode: Annotated[
        str | None,
        typer.Option(help="rows, one_out, one_in, full or fractional; default: the file's."),
    ] = None
    retune: Annotated[
        int | None,
        typer.Option(min=0, help="Trials that tune each cell; 0: none; default: the file's."),
    ] = None
    epochs: Epochs = 10
    confirm_seeds: Annotated[
        int,
        typer.Option("--confirm-seeds", "--seeds", help="Fresh seeds that each cell is run on."),
    ] = 3
    base_from: Annotated[
        Path | None,
        typer.Option(help="Earlier results folder, whose best config of the base is taken."),
    ] = None


@dataclass(frozen=True)
class TaskOptions:
    """How a task is cut from a data set."""

    image_size: ImageSize = 64
    protocol: Annotated[
        str, typer.Option(help="How splits are cut: balanced, lmd or official.")
    ] = "balanced"
    split_dir: SplitDir = None
    split_seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits.")] = 0
    n_max: Annotated[
        int | None, typer.Option("--n-max", help="Images of the largest train class.")
    ] = None
