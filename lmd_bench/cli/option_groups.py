"""Lets a command take dataclasses of options as parameters, for typer."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses of options: each of their fields becomes an option.

    A parameter `data: DataOptions` is replaced in the signature by the fields of `DataOptions`, and
    the command is called with the dataclass made of their values.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        annotation = hints[parameter.name]
        if is_dataclass(annotation):
            assert isinstance(annotation, type)
            options = _parameters(annotation)
            groups[parameter.name] = (annotation, [option.name for option in options])
            parameters += options
        else:
            parameters.append(parameter.replace(annotation=annotation))

    @wraps(command)
    def flat(**values: Any) -> None:
        made = {
            name: cls(**{option: values.pop(option) for option in options})
            for name, (cls, options) in groups.items()
        }
        command(**values, **made)

    keyword = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.Signature([p.replace(kind=keyword) for p in parameters])
    vars(flat)["__signature__"] = signature
    flat.__annotations__ = {p.name: p.annotation for p in parameters}
    return flat


def _parameters(options: type) -> list[inspect.Parameter]:
    hints = get_type_hints(options, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(options)
    ]
