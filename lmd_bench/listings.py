"""What `lmd-bench datasets` and `lmd-bench methods` print."""

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from rich.console import Console
from rich.table import Table

from lmd_bench import datasets, paths, plugins
from lmd_bench.errors import UserError
from lmd_bench.schema import DatasetCard
from lmd_bench.search_space import (
    Method,
    default_config,
    named_methods,
    resolve_method,
    search_space,
)


def show_datasets() -> None:
    """Print a line for each data set: classes, images, licence, and what is present here."""
    table = Table(title="Data sets", title_justify="left")
    for column in ("name", "classes", "images", "here", "licence"):
        table.add_column(column)
    for name in plugins.names("datasets"):
        card = datasets.load(name).card
        images = f"{sum(card.expected_counts):,}" if card.expected_counts else "?"
        table.add_row(name, str(len(card.class_names)), images, _presence(name), card.licence)
    console = Console()
    console.print(table)
    console.print("lmd-bench datasets NAME says how to get one and counts its classes.")


def show_dataset(name: str) -> None:
    """Print all of one data set: its card, where it was looked for, and its class counts."""
    dataset = datasets.load(name)
    card = dataset.card
    console = Console(highlight=False)
    console.print(f"[bold]{card.name}[/bold]  {card.title}")
    console.print(f"licence   {card.licence}\ncitation  {card.citation}\nurl       {card.url}")
    console.print(f"groups    {card.group or 'none'}\nhow       {card.how_to_get}")
    console.print(f"here      {_presence(card.name)}")
    counts = _present_counts(card.name)
    table = Table("class", "expected", "here", "")
    largest = max([*(card.expected_counts or ()), *counts.values(), 1])
    for label, class_name in enumerate(card.class_names):
        expected = card.expected_counts[label] if card.expected_counts else None
        here = counts.get(label)
        length = round(40 * (here if here is not None else expected or 0) / largest)
        table.add_row(
            class_name,
            "?" if expected is None else f"{expected:,}",
            "-" if here is None else f"{here:,}",
            "█" * max(1, length),
        )
    console.print(table)


def show_methods() -> None:
    """Print a line for each named method, then the stages that any pair may be made of."""
    table = Table(title="Methods", title_justify="left")
    for column in ("name", "stage 1", "stage 2", "year", "paper"):
        table.add_column(column, overflow="fold")
    for method in named_methods().values():
        stages = (method.representation, method.calibration)
        table.add_row(method.name, *stages, str(method.year), method.paper)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"representations: {', '.join(plugins.names('representation'))}")
    console.print(f"calibrations:    {', '.join(plugins.names('calibration'))}")
    console.print("Any representation+calibration is a method; lmd-bench methods NAME shows one.")


def show_method(name: str) -> None:
    """Print one method: both cards, its paper, defaults and search space."""
    method = resolve_method(name)
    console = Console(highlight=False)
    console.print(f"[bold]{method.name}[/bold]  {method.title}")
    console.print(f"stage 1 {method.representation}, stage 2 {method.calibration}")
    if method.paper:
        console.print(f"{method.paper} ({method.year})\n{method.url}")
    console.print(_settings_table(method))
    console.rule(f"representation {method.representation}")
    console.print(plugins.card("representation", method.representation), markup=False)
    console.rule(f"calibration {method.calibration}")
    console.print(plugins.card("calibration", method.calibration), markup=False)


def _settings_table(method: Method) -> Table:
    space = search_space(method.sections, fixed=method.settings)
    table = Table("setting", "default", "searched over")
    for key, default in default_config(method).items():
        fixed = "fixed by the method" if key in method.settings else "fixed; --set changes it"
        table.add_row(key, str(default), _range(space[key]) if key in space else fixed)
    return table


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(str(choice) for choice in distribution.choices)
    values: Any = distribution
    scale = ", log" if values.log else ""
    return f"{values.low:g} to {values.high:g}{scale}"


def _presence(name: str) -> str:
    dataset = datasets.load(name)
    card: DatasetCard = dataset.card
    if not card.downloads:
        return "built in"
    root = paths.data_root(name)
    if root is None:
        return "not looked for: set LMD_BENCH_DATA"
    if not root.is_dir():
        return f"no: {root} is absent"
    try:
        table = dataset.read(root)
    except UserError as error:
        return f"no: {error}"
    missing = int(dataset.missing(root, table).sum())
    return f"{len(table) - missing:,} of {len(table):,} images in {root}"


def _present_counts(name: str) -> dict[int, int]:
    dataset = datasets.load(name)
    root = paths.data_root(name)
    if dataset.card.downloads and (root is None or not root.is_dir()):
        return {}
    table = dataset.read(root)
    present = table.labels[~dataset.missing(root, table)]
    return {label: int((present == label).sum()) for label in range(len(table.class_names))}
