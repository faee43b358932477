"""Plug-ins from outside the package: files that a person names, and entry points of other packages.

`$LMD_BENCH_PLUGINS` is all the state there is: files and folders, parted as those of `$PATH` are.
What the command line or Python adds is added there, so a process that this one starts has the same.
A file is read once in a process, so an edit made meanwhile is of the next one.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module, metadata, util
from pathlib import Path
from types import ModuleType
from typing import Literal

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_file
from lmd_bench.core.paths import cache_root

PLUGINS = "LMD_BENCH_PLUGINS"
Kind = Literal["representation", "calibration", "datasets", "encoders", "metrics", "trackers"]
# kind -> the package that holds its plug-ins, and their base class there
KINDS: Mapping[Kind, tuple[str, str]] = {
    "representation": ("lmd_bench.methods.representation", "Representation"),
    "calibration": ("lmd_bench.methods.calibration", "Calibration"),
    "datasets": ("lmd_bench.data.datasets", "Dataset"),
    "encoders": ("lmd_bench.methods.models.encoders", "EncoderSource"),
    "metrics": ("lmd_bench.stats.own", "OwnMetric"),
    "trackers": ("lmd_bench.tracking.trackers", "Tracker"),
}
STAGES: tuple[Kind, ...] = ("representation", "calibration")  # have settings that are searched
_NOT_PLUGINS = ("_", "test_", "conftest")  # how the names of other files of a folder begin


@dataclass(frozen=True)
class Outside:
    """A plug-in that is not of the package."""

    name: str
    kind: Kind
    file: Path | None = None  # that a person named
    entry: str = ""  # the module of an entry point, found when it is first asked for

    @property
    def path(self) -> Path:
        """Return where its source lies.

        Raises:
            UserError: the module of an entry point is not there.
        """
        if self.file is not None:
            return self.file
        try:
            found = util.find_spec(self.entry)
        except Exception as error:
            raise self.broken(error) from error
        if found is None or found.origin is None:
            raise UserError(
                f"Entry point '{self.name}' of lmd_bench.{self.kind} names the module "
                f"{self.entry}, which is not installed; install or remove its package."
            )
        return Path(found.origin)

    @property
    def source(self) -> str:
        """Return its Python source."""
        return _text(self.path)

    @property
    def space(self) -> str | None:
        """Return its search space, the YAML file beside it; None where there is none."""
        return _space(self.path)

    @property
    def digest(self) -> str:
        """Return what tells this source from any other: 12 hex digits of its SHA-256."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:12]

    def load(self) -> ModuleType:
        """Import it.

        Raises:
            UserError: its import fails.
        """
        try:
            return import_module(self.entry) if self.entry else self._run()
        except UserError:
            raise
        # The border to code that is not ours: whatever it raises is its author's to mend.
        except Exception as error:
            raise self.broken(error) from error

    def broken(self, error: Exception) -> UserError:
        """Return the sentence on a plug-in that cannot be imported."""
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        return UserError(f"Plug-in {self.file or self.entry} fails on import ({cause}); mend it.")

    def _run(self) -> ModuleType:
        # The source that was read, not the file again: what runs is what its digest says.
        module = ModuleType(f"lmd_bench_outside.{self.digest}.{self.name}")
        if module.__name__ in sys.modules:
            return sys.modules[module.__name__]
        module.__file__ = str(self.path)
        # Dataclasses look for the module of their class there.
        sys.modules[module.__name__] = module
        try:
            exec(compile(self.source, str(self.path), "exec"), vars(module))
        except BaseException:
            del sys.modules[module.__name__]
            raise
        return module


def folder(kind: Kind) -> Path:
    """Return the folder of the package that holds the plug-ins of a kind."""
    return Path(__file__).resolve().parents[2].joinpath(*KINDS[kind][0].split("."))


def packaged(kind: Kind) -> frozenset[str]:
    """Return the names of the package's own plug-ins of a kind."""
    # Asked for thousands of times in a search of many studies.
    place = folder(kind)
    return _stems(place, place.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _stems(place: Path, changed: int) -> frozenset[str]:
    return frozenset(file.stem for file in place.glob("[!_]*.py"))


def outside() -> tuple[Outside, ...]:
    """Return all plug-ins from outside, without importing them.

    Raises:
        UserError: a file that is not there or no plug-in, or two plug-ins of one name.
    """
    return _outside(os.environ.get(PLUGINS, ""))


def add(places: Iterable[str | Path]) -> tuple[Outside, ...]:
    """Take plug-ins from files and folders, in this process and those that it starts.

    Args:
        places: Python files, and folders of such. In a folder, files whose names begin with an
            underscore or with `test_` are left alone.

    Returns:
        Those of `places`.

    Raises:
        UserError: a file that is not there or no plug-in, or two plug-ins of one name.
    """
    before = os.environ.get(PLUGINS, "")
    added = os.pathsep.join(str(Path(place).expanduser().resolve()) for place in places)
    together = os.pathsep.join(filter(None, [before, added]))
    plugins = _outside(together)  # refused as a whole or taken as a whole
    os.environ[PLUGINS] = together
    files = _files(added)
    return tuple(plugin for plugin in plugins if plugin.file in files)


def plain_places() -> dict[str, list[str]]:
    """Return the option that takes the same plug-ins again; nothing where there are none."""
    places = [place for place in os.environ.get(PLUGINS, "").split(os.pathsep) if place]
    return {"plugin": list(dict.fromkeys(places))} if places else {}


def shipped() -> list[dict[str, str | None]]:
    """Return the files from outside as plain data, for processes that may not see them."""
    return [
        {"name": plugin.name, "source": plugin.source, "space": plugin.space}
        for plugin in outside()
        if plugin.file is not None
    ]


def adopt(files: Iterable[Mapping[str, str | None]]) -> None:
    """Take the plug-ins that `shipped` gave in another process, in place of all others here.

    They are written below the cache, each in a folder that its content names.
    """
    os.environ[PLUGINS] = os.pathsep.join(str(_written(file)) for file in files)


def _written(file: Mapping[str, str | None]) -> Path:
    source, space = file["source"] or "", file["space"]
    content = hashlib.sha256("\0".join([source, space or ""]).encode()).hexdigest()[:20]
    path = cache_root() / "plugins" / content / f"{file['name']}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    for final, text in ((path, source), (path.with_suffix(".yaml"), space)):
        # Workers of one machine write the same there at the same time.
        if text is not None and not (final.is_file() and final.read_text("utf-8") == text):
            with whole_file(final) as temporary:
                temporary.write_text(text, "utf-8")
    return path


@cache
def _outside(places: str) -> tuple[Outside, ...]:
    plugins = [_of_file(file) for file in _files(places)] + list(_of_entry_points())
    taken = {
        name: f"a {kind.removesuffix('s')} of lmd-bench"
        for kind in KINDS
        for name in packaged(kind)
    }
    for plugin in plugins:
        where = str(plugin.file or f"the module {plugin.entry}")
        if plugin.name in taken:
            raise UserError(
                f"Plug-in '{plugin.name}' in {where} has the name of {taken[plugin.name]}; "
                "give one of them another name."
            )
        taken[plugin.name] = where
    return tuple(plugins)


def _files(places: str) -> list[Path]:
    files: list[Path] = []
    for place in map(Path, filter(None, places.split(os.pathsep))):
        if place.is_dir():
            inside = sorted(p for p in place.glob("*.py") if not p.name.startswith(_NOT_PLUGINS))
            if not inside:
                raise UserError(f"Folder {place} holds no plug-in; name a folder of .py files.")
            files += inside
        elif place.is_file() and place.suffix == ".py":
            files.append(place)
        else:
            raise UserError(f"There is no plug-in {place}; name a .py file or a folder of such.")
    return list(dict.fromkeys(file.resolve() for file in files))


def _of_entry_points() -> Iterator[Outside]:
    for kind in KINDS:
        for point in metadata.entry_points(group=f"lmd_bench.{kind}"):
            yield Outside(point.name, kind, entry=point.module)


def _of_file(path: Path) -> Outside:
    """Return the plug-in that a file is, by where the bases of its classes come from.

    Raises:
        UserError: it cannot be read, or holds no plug-in, or those of two kinds.
    """
    if not path.stem.isidentifier():
        raise UserError(
            f"Plug-in {path} is called '{path.stem}', and a name is of letters, digits and "
            "underscores; rename the file."
        )
    try:
        tree = ast.parse(_text(path))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"Plug-in {path} is not Python ({error}); mend it.") from error
    kinds = set(_kinds(tree))
    if len(kinds) != 1:
        bases = ", ".join(base for _, base in KINDS.values())
        found = "a class of each of " + ", ".join(sorted(kinds)) if kinds else "no such class"
        raise UserError(
            f"Plug-in {path} has to define one class whose base ({bases}, or a subclass) it "
            f"imports from lmd_bench, and has {found}."
        )
    _space(path)  # read with it, as what a search ships must not hang on when it ships
    return Outside(path.stem, kinds.pop(), path)


def _kinds(tree: ast.Module) -> Iterator[Kind]:
    origins: dict[str, str | None] = {}  # name in the file -> where it comes from
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            origins |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            # `import a.b` binds a, `import a.b as c` binds c
            origins |= {a.asname or a.name.split(".")[0]: a.asname and a.name for a in node.names}
    for node in tree.body:
        # A plug-in's settings may be made of another's.
        if isinstance(node, ast.ClassDef) and node.name != "Config":
            for base in map(ast.unparse, node.bases):
                head, _, rest = base.partition(".")
                origin = f"{origins.get(head) or head}.{rest}"
                for kind, (package, _) in KINDS.items():
                    if origin.startswith(f"{package}."):
                        yield kind


@cache
def _space(path: Path) -> str | None:
    space = path.with_suffix(".yaml")
    return _text(space) if space.is_file() else None


@cache
def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Plug-in file {path} cannot be read ({error}).") from error
