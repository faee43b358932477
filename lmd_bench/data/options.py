"""What a person may ask of data: how a task is cut, and how the files are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from lmd_bench.core.errors import UserError
from lmd_bench.core.options import Option, split_commas
from lmd_bench.core.schema import MISSING_VALUES, MOST_FOLDS, DataSource, RareClasses, TableColumns
from lmd_bench.data.intensity import FULL, checked

Protocol = Literal["balanced", "natural", "no_val", "lmd", "official", "balanced_v1", "balanced_v2"]
# What a person asks for -> what rows call it, where the two differ: the first version of `balanced`
# had no other, so its rows say `balanced`.
_IN_ROWS = {"balanced": "balanced_v2", "balanced_v1": "balanced"}
_FOLDS = "folds_"  # before the number of folds


@dataclass(frozen=True)
class TaskOptions:
    """How a task is cut from a data set."""

    panel: ClassVar[str] = "Task"

    image_size: Annotated[int, Option("Side of the square images, in pixels.", low=8)] = 64
    protocol: Annotated[
        Protocol, Option("How splits are cut; balanced is the newest version of it.")
    ] = "balanced"
    split_dir: Annotated[
        Path | None, Option("Folder, or one file in it, of published splits for official.")
    ] = None
    split_seed: Annotated[int, Option("Seed of the splits.", low=0, high=2**32 - 1)] = 0
    folds: Annotated[
        int | None,
        Option(
            "Cross-validation of so many folds, cut as balanced; split seed S is fold S mod FOLDS.",
            low=2,
            high=MOST_FOLDS,
        ),
    ] = None
    n_max: Annotated[
        int | None,
        Option(
            "Images of the largest train class; if not given, all, and with a factor its images "
            "rounded down to 1,000s (100s, 10s)."
        ),
    ] = None

    @property
    def ways(self) -> tuple[str, int, int, int | None]:
        """Return the protocol as rows call it, the split seed, the image size and n_max.

        Raises:
            UserError: folds of another protocol than balanced.
        """
        protocol = _IN_ROWS.get(self.protocol, self.protocol)
        if self.folds is not None:
            if self.protocol != "balanced":
                raise UserError(
                    f"--folds cuts splits of its own, but --protocol {self.protocol} was given; "
                    "leave one of them out."
                )
            protocol = f"{_FOLDS}{self.folds}"
        return protocol, self.split_seed, self.image_size, self.n_max


@dataclass(frozen=True)
class DataOptions:
    """Where images and labels are read from."""

    panel: ClassVar[str] = "Data"

    data_root: Annotated[
        Path | None, Option("Folder of the raw images; default $LMD_BENCH_DATA/<dataset>.")
    ] = None
    features: Annotated[
        Path | None,
        Option("File of --dataset features: .npz, .parquet or .safetensors with ids."),
    ] = None
    allow_missing: Annotated[bool, Option("Go on with the images that are present.")] = False
    images_csv: Annotated[
        Path | None,
        Option("CSV that lists the images of --dataset folder; or a folder of split lists."),
    ] = None
    image_column: Annotated[
        str | None, Option("Its column of file names; or that of images in archives.")
    ] = None
    label_column: Annotated[
        str | None,
        Option("Its column of classes (or an archive's field); or A,B,C: one of 0 and 1 each."),
    ] = None
    group_column: Annotated[
        str | None, Option("Its column of patients or lesions, which no split parts.")
    ] = None
    split_column: Annotated[
        str | None, Option("Its column of train, val, test for --protocol official.")
    ] = None
    missing_values: Annotated[
        str | None,
        Option("Words for no value in its columns, by comma; default nan,na,n/a,none,null."),
    ] = None
    intensity: Annotated[
        str,
        Option("Grey levels from values: full (of the type), auto (in use), window:LOW,HIGH."),
    ] = FULL
    rare_classes: Annotated[
        RareClasses, Option("Classes of too few images: refuse, drop, or merge into one.")
    ] = "refuse"
    rare_below: Annotated[
        int | None,
        Option(f"Images below which it is; default {DataSource.rare_below}.", low=1),
    ] = None

    hold_out_test: Annotated[
        float | None,
        Option("Share of train, 0 to 1, that becomes test where --protocol official has none."),
    ] = None

    def source(self, split_dir: Path | None = None) -> DataSource:
        """Return the data source that the options name.

        Raises:
            UserError: two sources of images, or an option that has no effect beside the others.
        """
        if self.features is not None and self.data_root is not None:
            raise UserError(
                "--features names a file in place of images and --data-root a folder of images; "
                "leave one of them out."
            )
        share = self.hold_out_test
        if share is not None and not 0 < share < 1:
            raise UserError(f"--hold-out-test {share:g} is no share; give, say, 0.2.")
        if self.rare_below is not None and self.rare_classes == "refuse":
            raise UserError(
                "--rare-below says which classes --rare-classes drop or merge is about; give one "
                "of them, or leave it out."
            )
        return DataSource(
            # To a data set of features its file is what the folder is to others.
            root=self.features or self.data_root,
            allow_missing=self.allow_missing,
            split_dir=split_dir,
            columns=self._columns(),
            hold_out_test=share,
            rare_classes=self.rare_classes,
            rare_below=DataSource.rare_below if self.rare_below is None else self.rare_below,
            intensity=checked(self.intensity),
        )

    def _columns(self) -> TableColumns | None:
        """Return the CSV and the columns that were named; the data set says what it needs."""
        words = self.missing_values
        columns = TableColumns(
            self.images_csv,
            self.image_column or "",
            self.label_column or "",
            self.group_column,
            self.split_column,
            MISSING_VALUES if words is None else tuple(split_commas([words])),
        )
        # Words that are given are asked for, those of the default too.
        return None if columns == TableColumns(None) and words is None else columns


@dataclass(frozen=True)
class TaskAndData:
    """Both, for a function that takes either's options as keywords."""

    task: TaskOptions
    data: DataOptions


def split_words(in_rows: str, split_seed: int) -> list[str]:
    """Return the options that give a split, given its protocol as rows call it."""
    if in_rows.startswith(_FOLDS):  # without a seed, folds are all searched
        return ["--folds", in_rows.removeprefix(_FOLDS), "--split-seeds", str(split_seed)]
    seed = ["--split-seed", str(split_seed)] if split_seed else []
    return ["--protocol", protocol_option(in_rows), *seed]


def protocol_option(in_rows: str) -> str:
    """Return what a person asks for to get the protocol that rows call so."""
    return next((asked for asked, name in _IN_ROWS.items() if name == in_rows), in_rows)
