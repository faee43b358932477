"""From an ablation file to its cells: which methods are run, and what each of them stands for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Config, Scalar
from lmd_bench.experiments.ablation.cells import Cell, Cells, identity
from lmd_bench.experiments.ablation.document import (
    FRACTIONAL,
    FULL,
    MODES,
    ONE_IN,
    ONE_OUT,
    ROWS,
    Change,
    Document,
    Toggle,
)
from lmd_bench.experiments.ablation.factorial import MOST_FACTORS, Fraction, Levels, fraction, full
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import check_keys

MOST_CELLS = 256


@dataclass(frozen=True)
class Point:
    """One combination of toggles, and the cell that it is; several may be one cell."""

    levels: Levels
    cell: str


@dataclass(frozen=True)
class Design:
    """What an ablation runs."""

    name: str
    title: str
    mode: str
    retune: int  # trials of each cell; 0: its one config, not tuned
    reference: str  # the cell that changes are against
    cells: tuple[Cell, ...]
    toggles: tuple[Toggle, ...] = ()  # of the mode, in the order of the levels
    points: tuple[Point, ...] = ()  # of a factorial
    generators: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
    resolution: int | None = None
    start: Config = field(default_factory=dict[str, Scalar])  # tuned: tried after the default


def build(
    document: Document,
    *,
    mode: str | None = None,
    retune: int | None = None,
    fixed: Config | None = None,
    base_config: Config | None = None,
) -> Design:
    """Return the cells of an ablation.

    Args:
        document: the file.
        mode: in place of the file's.
        retune: in place of the file's.
        fixed: settings of a person, that hold in every cell that has them.
        base_config: beside the file's, and before it: a config from earlier results.

    Raises:
        UserError: names, settings or a mode that do not go together.
    """
    chosen = document.mode if mode is None else mode
    if chosen not in MODES:
        raise unknown("mode", chosen, MODES)
    held = {**(base_config or {}), **document.base_config}
    for owner, change in _changes(document):
        for key in change.settings.keys() & (fixed or {}).keys():
            raise UserError(
                f"--set {key} would hold in every cell, but {owner} changes it; leave out one."
            )
    n_trials = document.retune if retune is None else retune
    return _Maker(document, chosen, n_trials, held, fixed or {}).design()


class _Maker:
    """Makes the cells of one mode."""

    def __init__(
        self, document: Document, mode: str, retune: int, held: Config, fixed: Config
    ) -> None:
        self.document = document
        self.mode = mode
        self.retune = retune
        self.base = resolve_method(document.base)
        self.held = held
        self.asked = {**document.base_config, **fixed}
        self.cells = Cells(self.base, held, fixed, tuned=retune > 0)

    def design(self) -> Design:
        """Return the cells of the mode."""
        document = self.document
        rows = [self.cells.method((row.change,)) for row in document.rows]
        for row, method in zip(document.rows, rows, strict=True):
            check_keys(row.change.settings, [method])
            self.cells.call(method, row.name, row.title)
        made = self._rows() if self.mode == ROWS else self._toggled()
        methods = [cell.method for cell in made.cells]
        check_keys(self.asked, [*methods, *rows, self.cells.method(())])
        if len(made.cells) > MOST_CELLS:
            raise UserError(
                f"Ablation '{document.name}' has {len(made.cells)} cells in mode {self.mode}, more "
                f"than {MOST_CELLS}; take fewer toggles, or mode {FRACTIONAL}."
            )
        return made

    def _rows(self) -> Design:
        document = self.document
        if not document.rows:
            raise UserError(
                f"Ablation '{document.name}' has no rows; add `rows:` or take another mode."
            )
        names = [row.name for row in document.rows]
        if document.reference and document.reference not in names:
            raise unknown("row to compare with", document.reference, names)
        for row in document.rows:
            self.cells.cell((row.change,), row.name, row.title)
        if document.reference:
            row = document.rows[names.index(document.reference)]
            reference = self.cells.cell((row.change,), row.name, row.title)
        else:
            reference = self.cells.cell((), f"{self.base.name}-all", self.base.name)
        return self._made(reference)

    def _toggled(self) -> Design:
        toggles = self._toggles_of_mode()
        base = self.cells.cell(_applied(toggles, (True,) * len(toggles)), *self._named(toggles, ()))
        if self.mode in (FULL, FRACTIONAL):
            return self._factorial(toggles, base)
        n = len(toggles)
        reference = base
        if self.mode == ONE_IN:
            off = tuple(toggle.name for toggle in toggles)
            reference = self.cells.cell(_applied(toggles, (False,) * n), *self._named(toggles, off))
        for place, toggle in enumerate(toggles):
            levels = tuple((i == place) == (self.mode == ONE_IN) for i in range(n))
            off = tuple(t.name for t, on in zip(toggles, levels, strict=True) if not on)
            changed = self.cells.cell(_applied(toggles, levels), *self._named(toggles, off))
            self._check_toggle(toggle, base, changed, reference)
        return replace(self._made(reference), toggles=toggles)

    def _factorial(self, toggles: tuple[Toggle, ...], base: Cell) -> Design:
        n = len(toggles)
        for place, toggle in enumerate(toggles):
            alone = self.cells.method(_applied(toggles, tuple(i != place for i in range(n))))
            check_keys(toggle.without.settings, [alone])
            check_keys(toggle.present.settings, [base.method])
            if identity(alone) == identity(base.method):
                raise _no_change(toggle)
        plan = self._plan(n)
        points: list[Point] = []
        for levels in plan.points:
            off = tuple(t.name for t, on in zip(toggles, levels, strict=True) if not on)
            cell = self.cells.cell(_applied(toggles, levels), *self._named(toggles, off))
            points.append(Point(levels, cell.name))
        return replace(
            self._made(base),
            toggles=toggles,
            points=tuple(points),
            generators=plan.generators,
            words=plan.words,
            resolution=plan.resolution,
        )

    def _plan(self, n: int) -> Fraction:
        if self.mode == FULL:
            if 2**n > MOST_CELLS:
                raise UserError(
                    f"A full factorial of {n} toggles has {2**n} cells, more than {MOST_CELLS}; "
                    f"take mode {FRACTIONAL}, or fewer toggles."
                )
            return full(n)
        if n > MOST_FACTORS:
            raise UserError(
                f"A fractional factorial takes at most {MOST_FACTORS} toggles; {n} came."
            )
        return fraction(n, self.document.resolution)

    def _toggles_of_mode(self) -> tuple[Toggle, ...]:
        toggles = self.document.toggles
        if not toggles:
            raise UserError(
                f"Ablation '{self.document.name}' has no toggles for mode {self.mode}; add "
                f"`toggles:`, or take mode {ROWS}."
            )
        if self.mode == ONE_OUT:
            return toggles
        toggles = tuple(toggle for toggle in toggles if not toggle.is_switch)
        if not toggles:
            raise UserError(
                f"Ablation '{self.document.name}' has switches alone, which mode {ONE_OUT} takes; "
                f"mode {self.mode} needs `toggles:`."
            )
        _check_apart(toggles, self.mode)
        return toggles

    def _check_toggle(self, toggle: Toggle, base: Cell, changed: Cell, reference: Cell) -> None:
        has = base if self.mode == ONE_IN else changed
        lacks = reference if self.mode == ONE_IN else changed
        check_keys(toggle.without.settings, [lacks.method])
        check_keys(toggle.present.settings, [has.method if self.mode == ONE_IN else base.method])
        if changed.name == reference.name:
            raise _no_change(toggle)

    def _named(self, toggles: Sequence[Toggle], off: Sequence[str]) -> tuple[str, str]:
        """Return the name and title of the base with some toggles off."""
        base = self.base.name
        by_name = {toggle.name: toggle for toggle in toggles}
        if not off:
            return f"{base}-all", base
        if len(off) == 1 and by_name[off[0]].is_switch:
            return f"{base}-{off[0]}", by_name[off[0]].title
        on = [toggle for toggle in toggles if toggle.name not in off]
        if not on:
            return f"{base}-none", f"{base} without all of them"
        if 2 * len(off) <= len(toggles):
            titles = ", ".join(by_name[name].title for name in off)
            return base + "".join(f"-no-{name}" for name in off), f"without {titles}"
        name = f"{base}-only" + "".join(f"-{toggle.name}" for toggle in on)
        return name, "only " + ", ".join(toggle.title for toggle in on)

    def _made(self, reference: Cell) -> Design:
        others = [cell for cell in self.cells.all.values() if cell.name != reference.name]
        cells = (reference, *others) if self.mode != ROWS else tuple(self.cells.all.values())
        return Design(
            name=self.document.name,
            title=self.document.title,
            mode=self.mode,
            retune=self.retune,
            reference=reference.name,
            cells=cells,
            start=self.held if self.retune else {},
        )


def _changes(document: Document) -> Iterable[tuple[str, Change]]:
    for row in document.rows:
        yield f"row '{row.name}'", row.change
    for toggle in document.toggles:
        yield f"toggle '{toggle.name}'", toggle.without
        yield f"toggle '{toggle.name}'", toggle.present


def _applied(toggles: Sequence[Toggle], levels: Sequence[bool]) -> tuple[Change, ...]:
    pairs = zip(toggles, levels, strict=True)
    return tuple(toggle.present if on else toggle.without for toggle, on in pairs)


def _check_apart(toggles: Sequence[Toggle], mode: str) -> None:
    owner: dict[str, str] = {}
    for toggle in toggles:
        changed = {*toggle.without.settings, *toggle.present.settings}
        changed |= _stages_of(toggle.without)
        for key in changed:
            if key in owner:
                raise UserError(
                    f"Toggles '{owner[key]}' and '{toggle.name}' both change {key}, so they cannot "
                    f"be off together, as mode {mode} asks; leave one out, or take mode {ONE_OUT}."
                )
            owner[key] = toggle.name


def _stages_of(change: Change) -> set[str]:
    stages: Mapping[str, str] = {
        "representation": change.representation or change.method,
        "calibration": change.calibration or change.method,
    }
    return {name for name, value in stages.items() if value}


def _no_change(toggle: Toggle) -> UserError:
    return UserError(
        f"{'Switch' if toggle.is_switch else 'Toggle'} '{toggle.name}' changes nothing: the base "
        "has these settings already."
    )
