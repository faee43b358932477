"""What `lmd-bench methods` prints."""

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from rich.console import Console
from rich.table import Table

from lmd_bench.core import plugins
from lmd_bench.methods.catalogue import Method, doubtful, named_methods, resolve_method
from lmd_bench.methods.space import default_config, search_space, section_config


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


def show_matrix() -> None:
    """Print the grid of stages: which pairs have a name, and which make no sense and why."""
    named: dict[tuple[str, str], list[str]] = {}
    for method in named_methods().values():
        named.setdefault((method.representation, method.calibration), []).append(method.name)
    calibrations = plugins.names("calibration")
    table = Table("stage 1", *(str(number) for number in range(1, len(calibrations) + 1)))
    notes: dict[str, str] = {}
    for representation in plugins.names("representation"):
        cells: list[str] = []
        for calibration in calibrations:
            reason = doubtful(representation, calibration)
            if reason:
                notes.setdefault(reason, f"({len(notes) + 1})")
            known = "●" if (representation, calibration) in named else "·"
            cells.append(f"{known}{notes[reason] if reason else ''}")
        table.add_row(representation, *cells)
    console = Console(highlight=False)
    console.print(table)
    for number, calibration in enumerate(calibrations, start=1):
        console.print(f"{number:>2} {calibration}")
    console.print("● has a name of its own, · runs as representation+calibration")
    for reason, mark in notes.items():
        console.print(f"{mark} makes little sense: {reason}", markup=False)


def show_method(name: str) -> None:
    """Print one method: both cards, its paper, defaults and search space."""
    method = resolve_method(name)
    console = Console(highlight=False)
    console.print(f"[bold]{method.name}[/bold]  {method.title}")
    console.print(f"stage 1 {method.representation}, stage 2 {method.calibration}")
    if method.paper:
        console.print(f"{method.paper} ({method.year})\n{method.url}")
    console.print(_declarations(method))
    if method.note:
        console.print(f"Note: {method.note}", markup=False)
    console.print(_settings_table(method))
    console.rule(f"representation {method.representation}")
    console.print(plugins.card("representation", method.representation), markup=False)
    console.rule(f"calibration {method.calibration}")
    console.print(plugins.card("calibration", method.calibration), markup=False)


def _declarations(method: Method) -> str:
    """Return views, cost and deferral of the method's stage 1, at its defaults."""
    plugin = plugins.plugin_class("representation", method.representation)
    config = default_config(method)
    cost = plugin.cost * (2 if float(config["training.sam_rho"]) > 0 else 1)
    deferral = plugin.deferral(section_config(method.representation, config))
    judged = f"after {deferral:.0%} of training" if deferral else "from the first epoch"
    views = len(plugin.views)
    return (
        f"views of an image {views}, cost of a step {cost:g} x cross_entropy, "
        f"may first be judged {judged}, transductive no"
    )


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
