"""What `lmd-bench methods` prints."""

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from rich.console import Console
from rich.table import Table

from lmd_bench import plugins
from lmd_bench.search_space import (
    Method,
    default_config,
    named_methods,
    resolve_method,
    search_space,
)


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
