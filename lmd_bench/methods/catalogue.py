"""What is compared: named methods, and any other pair of stages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from lmd_bench.core import paths, plugins
from lmd_bench.core.errors import unknown
from lmd_bench.core.schema import Config, Scalar, TrialSpec

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"  # the group of every named method


@dataclass(frozen=True)
class Method:
    """A named pair of stages, and what makes the name what its paper says.

    `settings` are fixed: they override defaults and are not searched. `searched` are settings that
    this method searches from a default of its own, {"training.sam_rho": {"default": .05, ...}}. An
    entry with a type is the range as well, as in the YAML of a section.
    """

    name: str
    representation: str
    calibration: str
    title: str = ""
    paper: str = ""
    year: int = 0
    url: str = ""
    note: str = ""  # what its figures must be read with
    settings: Config = field(default_factory=dict[str, Scalar])
    searched: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    @property
    def sections(self) -> tuple[str, str, str]:
        """Return the config sections of this method: training and its two stages."""
        return ("training", self.representation, self.calibration)

    @property
    def versions(self) -> dict[str, int | str]:
        """Return the version of each stage's plug-in as it is here."""
        return {
            self.representation: plugins.version("representation", self.representation),
            self.calibration: plugins.version("calibration", self.calibration),
        }


@cache
def named_methods() -> dict[str, Method]:
    """Return the methods of `search_spaces/methods.yaml` by name."""
    entries = _document().items()
    return {name: Method(name=name, **entry) for name, entry in entries if isinstance(entry, dict)}


def groups() -> dict[str, list[str]]:
    """Return the named groups of methods, the lists in `search_spaces/methods.yaml`."""
    return {name: entry for name, entry in _document().items() if isinstance(entry, list)}


def list_methods() -> "pd.DataFrame":
    """Return one row a named method: its stages, year, title, paper, url and note."""
    import pandas as pd

    columns = ("name", "representation", "calibration", "year", "title", "paper", "url", "note")
    return pd.DataFrame(
        [[getattr(method, column) for column in columns] for method in named_methods().values()],
        columns=list(columns),
    )


def resolve_methods(names: Iterable[str]) -> tuple[Method, ...]:
    """Return the methods of these names and groups of names, each once.

    Raises:
        UserError: neither a named method or group nor a pair of known stages.
    """
    lists = groups() | {ALL: list(named_methods())}
    spelled = [member for name in names for member in lists.get(name, [name])]
    return tuple(resolve_method(name) for name in dict.fromkeys(spelled))


def resolve_method(name: str) -> Method:
    """Return the named method, or the pair written `representation+calibration`.

    Raises:
        UserError: neither a named method nor a pair of known stages.
    """
    if name in named_methods():
        return named_methods()[name]
    representation, plus, calibration = name.partition("+")
    if not plus:
        raise unknown("method", name, [*named_methods(), *groups(), ALL])
    if representation not in plugins.names("representation"):
        raise unknown("representation", representation, plugins.names("representation"))
    if calibration not in plugins.names("calibration"):
        raise unknown("calibration", calibration, plugins.names("calibration"))
    return Method(name=name, representation=representation, calibration=calibration)


def method_of(spec: TrialSpec) -> Method:
    """Return the pair of stages that a trial runs, under the name that it has there.

    Raises:
        UserError: a stage that is not known here.
    """
    pair = resolve_method(f"{spec.representation}+{spec.calibration}")
    return replace(pair, name=spec.method)


def doubtful(representation: str, calibration: str) -> str:
    """Return why a pair of stages makes little sense; "" for the others. All of them run.

    What a pair needs is what its two plug-ins declare.
    """
    stage1 = plugins.plugin_class("representation", representation)
    stage2 = plugins.plugin_class("calibration", calibration)
    if stage1.prior_in_loss and stage2.takes_prior:
        return "the prior is in the training loss already; taking it out again counts it twice"
    if stage1.cosine_head and stage2.needs_linear_head:
        return "the head is cosine: the lengths of its class weights mean nothing"
    return ""


def _document() -> Mapping[str, Any]:
    return paths.search_space_file("methods.yaml")
