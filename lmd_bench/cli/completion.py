"""What a shell completes: names of data sets and methods, without importing what they need."""

from collections.abc import Callable


def datasets(incomplete: str) -> list[str]:
    """Return the data sets that begin so."""
    from lmd_bench.core import plugins

    return _begun(incomplete, plugins.names("datasets"))


def methods(incomplete: str) -> list[str]:
    """Return the methods and groups of methods that begin so; the last of a list with commas."""
    from lmd_bench.methods.catalogue import ALL, groups, named_methods

    return _begun(incomplete, [ALL, *groups(), *named_methods()])


def _begun(incomplete: str, names: list[str]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


OF_OPTION: dict[str, Callable[[str], list[str]]] = {"dataset": datasets, "method": methods}
