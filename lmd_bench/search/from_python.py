"""A search asked for from Python: by keywords, or by a file of options."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmd_bench.core import outside
from lmd_bench.core.option_files import Entry, entries, from_values, read_options
from lmd_bench.core.options import NATURAL, Option, from_keywords
from lmd_bench.core.schema import Scalar
from lmd_bench.search.options import CORE, SearchOptions

if TYPE_CHECKING:
    from lmd_bench.search.run import SearchOutcome


def run_search(
    dataset: str | Sequence[str],
    methods: str | Sequence[str] = CORE,
    *,
    imbalance_factor: float | int | str | Sequence[float | int | str | None] | None = None,
    settings: Mapping[str, Scalar] | None = None,
    **options: Any,
) -> "SearchOutcome":
    """Search hyperparameters of methods on tasks, then confirm the chosen ones on test.

    What the results folder holds is not run again; the same call goes on with what is missing.

    Args:
        dataset: Name of a data set, or several.
        methods: Names of methods, representation+calibration pairs or groups.
        imbalance_factor: n_max / n_min of train, or several; None keeps what exists.
        settings: Hyperparameters that are not searched, as {"training.batch_size": 64}.
        options: The options of `lmd-bench search`, with underscores: results, data_root, trials,
            epochs, confirm_seeds, image_size, max_concurrent, ...; those of `SearchOptions`.

    Raises:
        UserError: an unknown name or option, data that are absent, or numbers that cannot be.
    """
    from lmd_bench.methods.settings import setting_texts
    from lmd_bench.search import run

    if imbalance_factor is None or isinstance(imbalance_factor, (float, int, str)):
        factors: Sequence[float | int | str | None] = [imbalance_factor]
    else:
        factors = imbalance_factor
    texts = [NATURAL if factor is None else str(factor) for factor in factors]
    named = {
        "dataset": [dataset] if isinstance(dataset, str) else list(dataset),
        "method": [methods] if isinstance(methods, str) else list(methods),
        "imbalance_factor": texts,
        "settings": setting_texts(settings or {}),
    }
    asked = from_keywords(SearchOptions, {**options, **named})
    return run.run_repeats(asked.by_seed(asked.request()))


def run_search_file(path: str | Path, **options: Any) -> "SearchOutcome":
    """Run the search that a YAML file of options asks for, as `lmd-bench search --config` does.

    Args:
        path: Of the file, such as the `searches/<id>.yaml` that each search leaves.
        options: The options of `lmd-bench search` by their names in Python; they stand above the
            file.

    Raises:
        UserError: what the file holds cannot be, as of `run_search`.
    """
    from lmd_bench.search import run

    asked = read_search(Path(path), options)
    return run.run_repeats(asked.by_seed(asked.request()))


def read_search(path: Path, overrides: Mapping[str, Any] | None = None) -> SearchOptions:
    """Return the search that a file asks for, and take the plug-ins that it names.

    Raises:
        UserError: what the file holds cannot be.
    """
    plugin = Entry("plugin", list[Path], Option("A method or data set of your own."), ("plugin",))
    values = read_options(path, [*entries(SearchOptions), plugin]) | dict(overrides or {})
    outside.add(values.pop("plugin", ()))
    return from_values(SearchOptions, values, path)
