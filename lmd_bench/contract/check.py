"""The checks of one plug-in: `lmd-bench check-plugin` prints them, and tests run them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import getdoc

from lmd_bench.contract import calibration, dataset, encoder, metric, representation, stage, tracker
from lmd_bench.contract.expect import ContractError
from lmd_bench.core.outside import STAGES, Kind
from lmd_bench.core.schema import DataSource

_OF_KIND: Mapping[Kind, tuple[Callable[..., None], ...]] = {
    "representation": representation.CHECKS,
    "calibration": calibration.CHECKS,
    "datasets": dataset.CHECKS,
    "encoders": encoder.CHECKS,
    "metrics": metric.CHECKS,
    "trackers": tracker.CHECKS,
}


@dataclass(frozen=True)
class Check:
    """One thing that has to hold of a plug-in."""

    title: str  # a sentence
    run: Callable[[], None]  # raises ContractError, or what the plug-in itself raises

    def failure(self) -> str:
        """Return why it does not hold; "" where it does."""
        try:
            self.run()
        except ContractError as error:
            return str(error)
        # The border to code that is not ours.
        except Exception as error:
            return " ".join(f"{type(error).__name__}: {error}".split())
        return ""


def checks(kind: Kind, name: str, source: DataSource | None = None) -> list[Check]:
    """Return the checks of a plug-in.

    Args:
        kind: Of the plug-in.
        name: Of the plug-in, of the package or from outside.
        source: Where the files of a data set lie.
    """
    given = (source or DataSource(),) if kind == "datasets" else ()
    calls = [(function, (kind, name)) for function in stage.CHECKS if kind in STAGES]
    calls += [(function, (name, *given)) for function in _OF_KIND[kind]]
    return [
        Check((getdoc(function) or "").splitlines()[0], partial(function, *arguments))
        for function, arguments in calls
    ]
