"""Cells of an ablation: a base and some changes make a method; equal settings make one cell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Config, Scalar, content_hash
from lmd_bench.experiments.ablation.document import Change
from lmd_bench.methods.catalogue import Method, resolve_method
from lmd_bench.methods.settings import default_config
from lmd_bench.methods.space import search_space


@dataclass(frozen=True)
class Cell:
    """One method of an ablation, with all that holds in it."""

    name: str
    title: str
    method: Method  # its settings are what is not searched
    config: Config  # complete; where it is tuned, that of its first trial


class Cells:
    """Composes cells, each set of settings once."""

    def __init__(self, base: Method, held: Config, fixed: Config, tuned: bool) -> None:
        """Take what all cells start from.

        Args:
            base: the method that is changed.
            held: settings where tuning begins, or that hold where nothing is tuned.
            fixed: settings that hold in every cell that has them, tuned or not.
            tuned: whether what no cell fixes is searched.
        """
        self.base = base
        self.all: dict[str, Cell] = {}  # by what makes them one
        self._held, self._fixed, self._tuned = held, fixed, tuned
        self._names: dict[str, tuple[str, str]] = {}

    def call(self, method: Method, name: str, title: str) -> None:
        """Give a name to the cell that is this method, whoever asks for it first."""
        self._names.setdefault(identity(method), (name, title))

    def cell(self, changes: Sequence[Change], name: str, title: str) -> Cell:
        """Return the cell of some changes; one of equal settings is returned as it is.

        Raises:
            UserError: settings that do not go together, or a name that another cell has.
        """
        method = self.method(changes)
        key = identity(method)
        if key not in self.all:
            name, title = self._names.get(key, (name, title))
            if any(cell.name == name for cell in self.all.values()):
                raise UserError(f"Two cells that differ are called '{name}'; rename one of them.")
            method = replace(method, name=name, title=title)
            config = default_config(method) if self._tuned else method.settings
            self.all[key] = Cell(name, title, method, config)
        return self.all[key]

    def method(self, changes: Sequence[Change]) -> Method:
        """Return the base with some changes; its settings are what is not searched.

        Raises:
            UserError: an unknown stage or method, or a value that is not allowed.
        """
        stages = (self.base.representation, self.base.calibration)
        settings: dict[str, Scalar] = {**self.base.settings, **self._held, **self._fixed}
        bound = {*self.base.settings, *self._fixed}
        searched = dict(self.base.searched)
        for change in changes:
            if change.method:
                other = resolve_method(change.method)
                stages = (other.representation, other.calibration)
                settings |= other.settings
                searched |= other.searched
                bound |= other.settings.keys()
            stages = (change.representation or stages[0], change.calibration or stages[1])
            settings |= change.settings
            bound |= change.settings.keys()
        both = resolve_method("+".join(stages))
        defaults = default_config(both)
        both = replace(both, searched={k: v for k, v in searched.items() if k in defaults})
        config = default_config(both, {k: v for k, v in settings.items() if k in defaults})
        if self._tuned:
            bound |= self._held.keys() - search_space(both.sections).keys()
            config = {key: value for key, value in config.items() if key in bound}
        return replace(both, settings=config)


def identity(method: Method) -> str:
    """Return what is equal for methods that are one cell."""
    return content_hash([method.representation, method.calibration, dict(method.settings)])
