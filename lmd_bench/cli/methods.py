"""The command that lists the methods, or shows one."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmd_bench.cli.app import app
from lmd_bench.core.tables import add_plain_row

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from lmd_bench.methods.catalogue import Method

Tune = Literal["full", "lora", "adapter", "frozen"]


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Method to show; all are listed.")] = None,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Show which pairs of stages make sense.")
    ] = False,
    tune: Annotated[
        Tune, typer.Option(help="Of --matrix: how much of the encoder is trained.")
    ] = "full",
) -> None:
    """List the methods, or show one: its two stages, paper, search space and defaults."""
    if matrix:
        show_matrix(tune)
    elif name is None:
        show_methods()
    else:
        show_method(name)


def show_methods() -> None:
    """Print a line for each named method, then the stages that any pair may be made of."""
    from lmd_bench.core import plugins
    from lmd_bench.core.outside import outside
    from lmd_bench.methods.catalogue import ALL, groups, list_methods

    listed = list_methods()
    width = int(listed["name"].str.len().max())
    console = Console(highlight=False, emoji=False)
    console.print(f"[bold]{'name':{width}}  year  stage 1+stage 2: title[/bold]")
    for line in listed.to_dict("records"):
        stages = f"{line['representation']}+{line['calibration']}".removesuffix("+none")
        text = f"{line['name']:{width}}  {line['year']:4}  {stages}: {line['title']}"
        console.print(text, markup=False, no_wrap=True, overflow="ellipsis")
    console.print()
    for name, members in groups().items():
        console.print(f"group {name}: {', '.join(members)}")
    console.print(f"group {ALL}: every method above")
    console.print(f"representations: {', '.join(plugins.names('representation'))}")
    console.print(f"calibrations: {', '.join(plugins.names('calibration'))}")
    for plugin in outside():
        line = f"{plugin.kind.removesuffix('s')} {plugin.name} is from outside: {plugin.path}"
        console.print(line, markup=False, soft_wrap=True)
    console.print("Any representation+calibration is a method; lmd-bench methods NAME shows one.")


def show_matrix(tune: Tune = "full") -> None:
    """Print the grid of stages: which pairs have a name, and which make no sense and why.

    Args:
        tune: how much of the encoder is trained; what cannot act on that is marked.
    """
    from lmd_bench.core import plugins
    from lmd_bench.methods.catalogue import doubtful, named_methods
    from lmd_bench.methods.tuning import cannot_act

    named = {(method.representation, method.calibration) for method in named_methods().values()}
    calibrations = plugins.names("calibration")
    representations = plugins.names("representation")
    marks: dict[str, str] = {}  # of each reason why a pair makes little sense, or none
    width = max(map(len, representations))
    console = Console(highlight=False, emoji=False)
    heads = "".join(f"{number:>3}" for number in range(1, len(calibrations) + 1))
    console.print(f"[bold]{'stage 1':{width}}{heads}[/bold]")
    for representation in representations:
        cells = ""
        for calibration in calibrations:
            unable = cannot_act(representation, calibration, tune)
            doubt = doubtful(representation, calibration)
            reason = f"cannot run: {unable}" if unable else doubt and f"makes little sense: {doubt}"
            mark = marks.setdefault(reason, "abcdefgh"[len(marks)]) if reason else " "
            sign = "●" if (representation, calibration) in named else "·"
            cells += f" {'×' if unable else sign}{mark}"
        console.print(f"{representation:{width}} {cells}".rstrip())
    console.print()
    for number, calibration in enumerate(calibrations, start=1):
        console.print(f"{number:>2} {calibration}")
    console.print("● has a name of its own, · runs as representation+calibration")
    for reason, mark in marks.items():
        console.print(f"{mark}: {reason}", markup=False)


def show_method(name: str) -> None:
    """Print one method: both cards, its paper, defaults and search space."""
    from lmd_bench.core import plugins
    from lmd_bench.methods.catalogue import resolve_method

    method = resolve_method(name)
    console = Console(highlight=False, emoji=False)
    console.print(Text.assemble((method.name, "bold"), f"  {method.title}"))
    console.print(f"stage 1 {method.representation}, stage 2 {method.calibration}")
    if method.paper:
        console.print(f"{method.paper} ({method.year})\n{method.url}", markup=False)
    console.print(_declarations(method))
    if method.note:
        console.print(f"Note: {method.note}", markup=False)
    console.print(_settings_table(method))
    console.rule(f"representation {method.representation}")
    console.print(plugins.card("representation", method.representation), markup=False)
    console.rule(f"calibration {method.calibration}")
    console.print(plugins.card("calibration", method.calibration), markup=False)


def _declarations(method: "Method") -> str:
    """Return views, cost and deferral of stage 1 and the sweep of stage 2, at the defaults."""
    from lmd_bench.core import plugins
    from lmd_bench.methods.settings import default_config, deferral_of, swept_settings

    plugin = plugins.plugin_class("representation", method.representation)
    config = default_config(method)
    cost = plugin.cost * (2 if float(config["training.sam_rho"]) > 0 else 1)
    deferral = deferral_of(method.representation, config)
    judged = f"after {deferral:.0%} of training" if deferral else "from the first epoch"
    views = len(plugin.views)
    swept = swept_settings(method.calibration, config)
    return (
        f"views of an image {views}, cost of a step {cost:g} x cross_entropy, "
        f"may first be judged {judged}, settings judged on val in one trial {swept}, "
        "transductive no"
    )


def _settings_table(method: "Method") -> Table:
    from lmd_bench.methods.settings import default_config
    from lmd_bench.methods.space import search_space

    space = search_space(method.sections, method.settings, method.searched)
    table = Table("setting", "default", "searched over")
    for key, default in default_config(method).items():
        fixed = "fixed by the method" if key in method.settings else "fixed; --set changes it"
        add_plain_row(table, key, str(default), _range(space[key]) if key in space else fixed)
    return table


def _range(distribution: "BaseDistribution") -> str:
    from optuna.distributions import CategoricalDistribution

    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(str(choice) for choice in distribution.choices)
    values: Any = distribution
    scale = ", log" if values.log else ""
    return f"{values.low:g} to {values.high:g}{scale}"
