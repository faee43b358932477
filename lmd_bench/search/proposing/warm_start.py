"""Warm start: what was best in an earlier results folder is tried right after the default.

Only configs travel, never their scores: those of another task or length of training would mislead
a sampler. They count as trials, like the points of a person.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Config, canonical_json
from lmd_bench.methods.catalogue import Method
from lmd_bench.methods.space import Space
from lmd_bench.search.jobs import Row, config_of, ranked
from lmd_bench.search.proposing.ranges import contains
from lmd_bench.store.store import open_store

N_CONFIGS = 3  # of each pair of stages, those of the latest studies
WarmStart = Mapping[str, tuple[Config, ...]]  # "representation+calibration" -> configs


def read_warm_start(folder: Path, results: Path, methods: Iterable[Method]) -> WarmStart:
    """Return the best config of each earlier study, by pair of stages, the latest study first.

    Raises:
        UserError: no results there, the same folder, or nothing of any of the methods.
    """
    if folder.resolve() == results.resolve():
        raise UserError(
            f"--warm-start {folder} is the folder of this search itself, which grows while it "
            "runs; name an earlier one, or another with --results."
        )
    found = best_configs(open_store(folder).rows())
    stages = [(method.representation, method.calibration) for method in methods]
    wanted = {pair(*both) for both in stages} | {pair(one, "none") for one, _ in stages}
    if not wanted & found.keys():
        raise UserError(
            f"The results in {folder} hold no finished search trial of "
            f"{', '.join(sorted(wanted))}; there are {', '.join(sorted(found)) or 'none at all'}."
        )
    return found


def best_configs(rows: Iterable[Row]) -> WarmStart:
    """Return up to `N_CONFIGS` distinct configs of each pair: the best of its latest studies."""
    studies: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["phase"] == "search":
            name = pair(row["representation"], row["calibration"])
            studies.setdefault((name, row["study"]), []).append(row)
    best = [(name, top[0]) for (name, _), of in studies.items() if (top := ranked(of)[:1])]
    best.sort(key=lambda entry: (entry[1]["finished_at"], entry[1]["key"]), reverse=True)
    found: dict[str, dict[str, Config]] = {}
    for name, row in best:
        config = config_of(row)
        found.setdefault(name, {}).setdefault(canonical_json(dict(config)), config)
    return {name: tuple(configs.values())[:N_CONFIGS] for name, configs in found.items()}


def warm_points(configs: Iterable[Config], space: Space, default: Config) -> tuple[Config, ...]:
    """Return the configs that lie in a study's space, with what is not searched at its default.

    A calibration study takes stage 1 from the config too, where that encoder is on offer.
    """
    fitting = [
        config
        for config in configs
        if config.keys() == default.keys()
        and all(contains(within, config[key]) for key, within in space.items())
    ]
    return tuple(dict(config) for config in fitting if dict(config) != dict(default))


def pair(representation: str, calibration: str) -> str:
    """Return the name of a pair of stages."""
    return f"{representation}+{calibration}"
