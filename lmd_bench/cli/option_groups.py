"""Lets a command take dataclasses of options as parameters, for typer."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from lmd_bench.cli import completion
from lmd_bench.core import outside
from lmd_bench.core.option_files import Entry, file_name, read_options
from lmd_bench.core.options import Option

_PLUGIN_HELP = (
    "A method or data set of your own: its file, or a folder of such; repeat. Also "
    "LMD_BENCH_PLUGINS."
)
_CONFIG_HELP = "YAML file of options, `trials: 40`; what is typed stands above it."
_PAIRS = ("settings", "range")  # what is written as key=value


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses of options: each of their fields becomes an option.

    A parameter `data: DataOptions` is replaced in the signature by the fields of `DataOptions`, and
    the command is called with the dataclass made of their values. A field that is a dataclass is
    replaced by its own fields in the same way, and the class variable `panel` of a dataclass is the
    title under which help shows its options.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for parameter in inspect.signature(command).parameters.values():
        annotation = hints[parameter.name]
        if is_dataclass(annotation):
            assert isinstance(annotation, type)
            groups[parameter.name] = annotation
            parameters += _parameters(annotation)
        else:
            parameters.append(parameter.replace(annotation=annotation))

    @wraps(command)
    def flat(**values: Any) -> None:
        made = {name: _made(cls, values) for name, cls in groups.items()}
        command(**values, **made)

    keyword = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.Signature([p.replace(kind=keyword) for p in parameters])
    vars(flat)["__signature__"] = signature
    flat.__annotations__ = {p.name: p.annotation for p in parameters}
    return flat


def with_plugins(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take `--plugin`, for what it looks up by name."""

    @wraps(command)
    def taking(plugin: list[Path] | None = None, **values: Any) -> None:
        outside.add(plugin or ())
        command(**values)

    told = typer.Option(metavar="PATH", help=_PLUGIN_HELP, rich_help_panel="Plug-ins")
    return _with_parameter(command, taking, "plugin", Annotated[list[Path] | None, told])


def with_config(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take `--config`, a YAML file of its options; the command line stands above."""

    @wraps(command)
    def taking(config: Path | None = None, **values: Any) -> None:
        command(**values)

    def take(context: Any, config: Path | None) -> Path | None:
        if config is not None:
            context.default_map = read_options(config, file_entries(context.command))
        return config

    told = typer.Option(
        metavar="FILE",
        help=_CONFIG_HELP,
        callback=take,
        # Before the others, which look for what was not typed in what it leaves.
        is_eager=True,
        rich_help_panel="Options from a file",
    )
    return _with_parameter(command, taking, "config", Annotated[Path | None, told])


def file_entries(command: Any) -> list[Entry]:
    """Return what a file of `--config` may hold for a command that Typer has made."""
    parameters = inspect.signature(command.callback).parameters
    return [
        _entry(parameter, parameters[parameter.name].annotation)
        for parameter in command.params
        if parameter.name in parameters and parameter.name != "config"
    ]


def _entry(parameter: Any, hint: Any) -> Entry:
    flags = [flag for flag in parameter.opts if flag.startswith("--")]
    names = [file_name(flag) for flag in flags] or [parameter.name]
    # Typer's own option has the ends of a range itself, and Click's has them in its type.
    within = getattr(parameter, "type", parameter)
    option = Option(
        help=getattr(parameter, "help", None) or "",
        low=getattr(within, "min", None),
        high=getattr(within, "max", None),
        pairs=parameter.name in _PAIRS,
    )
    return Entry(parameter.name, hint, option, tuple(dict.fromkeys([*names, parameter.name])))


def _with_parameter(
    command: Callable[..., None], taking: Callable[..., None], name: str, hint: Any
) -> Callable[..., None]:
    """Give `taking` the parameters of `command` and one more, which is None where not given."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = inspect.Parameter(name, keyword, default=None, annotation=hint)
    others = inspect.signature(command).parameters.values()
    parameters = [*(p.replace(kind=keyword) for p in others), own]
    vars(taking)["__signature__"] = inspect.Signature(parameters)
    taking.__annotations__ = {p.name: p.annotation for p in parameters}
    return taking


def _parameters(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for field in fields(group):
        hint = hints[field.name]
        if is_dataclass(hint):
            assert isinstance(hint, type)
            parameters += _parameters(hint)
        else:
            parameters.append(_parameter(field, hint, getattr(group, "panel", None)))
    return parameters


def _parameter(field: "Field[Any]", hint: Any, panel: str | None) -> inspect.Parameter:
    kind, *notes = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    option = next((note for note in notes if isinstance(note, Option)), None)
    if option is not None:
        # Typer gives a bool a second flag, --no-..., unless its own flag is named.
        flag = option.flag or (f"--{field.name.replace('_', '-')}" if kind is bool else "")
        told = typer.Option(
            *([flag] if flag else []),
            help=option.help,
            min=option.low,
            max=option.high,
            rich_help_panel=panel,
            autocompletion=completion.OF_OPTION.get(field.name),
        )
        hint = Annotated[kind, told]
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, keyword, default=default, annotation=hint)


def _made(group: type, values: dict[str, Any]) -> Any:
    """Return a group of options; its values are taken out of `values`."""
    hints: Mapping[str, Any] = get_type_hints(group)
    return group(
        **{
            field.name: _made(hints[field.name], values)
            if is_dataclass(hints[field.name])
            else values.pop(field.name)
            for field in fields(group)
        }
    )
