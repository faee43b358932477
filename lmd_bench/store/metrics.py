"""All metrics that can be asked for: the package's, and those from outside."""

import numbers
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.outside import Outside, outside
from lmd_bench.stats.metrics import Labels, Logits, Metric, shown_metrics
from lmd_bench.stats.probabilities import Weights


def known_metrics() -> Mapping[str, Metric]:
    """Return all metrics by name, in the order of tables.

    Raises:
        UserError: one from outside that is not what it has to be, or has a name that is taken.
    """
    return _known(tuple(plugin for plugin in outside() if plugin.kind == "metrics"))


@cache
def _known(own: tuple[Outside, ...]) -> dict[str, Metric]:
    known = shown_metrics()
    for plugin in own:
        if plugin.name in known:
            raise UserError(
                f"Plug-in {plugin.path} has the name of a metric of lmd-bench, '{plugin.name}'; "
                "give the file another name."
            )
        metric = plugins.plugin_class("metrics", plugin.name)
        if not isinstance(title := getattr(metric, "title", None), str):
            raise UserError(f"Metric {plugin.path} has no title; set one, such as 'G-mean'.")
        known[plugin.name] = Metric(
            plugin.name,
            title,
            partial(_value, plugin, metric),
            higher_is_better=bool(metric.higher_is_better),
            percent=bool(metric.percent),
            on_val=False,
        )
    return known


def _value(plugin: Outside, metric: Any, labels: Labels, logits: Logits, weights: Weights) -> float:
    try:
        value = metric.value(labels, logits, weights)
    # The border to code that is not ours.
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"Metric {plugin.path} fails ({cause}); mend it.") from error
    if not isinstance(value, numbers.Real):
        raise UserError(f"Metric {plugin.path} gives {value!r}; it has to give one number.")
    return float(value)
