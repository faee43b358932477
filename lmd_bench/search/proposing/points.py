"""Points to try: configs of a person that a study runs right after its default."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.files import whole_file
from lmd_bench.core.schema import NO_CALIBRATION, Config, Scalar, canonical_json, content_hash
from lmd_bench.core.yaml_text import read_yaml
from lmd_bench.methods.catalogue import Method
from lmd_bench.methods.settings import check_value, section_defaults
from lmd_bench.methods.space import Space, search_space
from lmd_bench.search.jobs import Row, config_of, ranked
from lmd_bench.search.proposing.levels import relative_scores
from lmd_bench.search.proposing.ranges import Ranges, contains, ranged
from lmd_bench.store.store import open_store

Points = tuple[Mapping[str, Scalar], ...]  # each {"section.key": value}, not all keys given
N_CONFIGS = 3  # of each pair of stages, those of the latest studies
WarmStart = Mapping[str, tuple[Config, ...]]  # "representation+calibration" -> configs


def read_points(path: Path) -> Points:
    """Return the points of a YAML file: a list of mappings, `- {training.lr: 0.02, crt.lr: 0.5}`.

    Raises:
        UserError: no such file, no YAML, or not a list of mappings of known settings.
    """
    listed = read_yaml(path, "points file")
    if not isinstance(listed, list) or not all(isinstance(p, dict) and p for p in listed):
        raise UserError(
            f"The points file {path} is not a list of points; write one a line, such as "
            "`- {training.lr: 0.02, crt.lr: 0.5}`."
        )
    return tuple({str(key): value for key, value in point.items()} for point in listed)


def check_points(
    points: Points, methods: Iterable[tuple[Method, Config, Iterable[str]]], ranges: Ranges
) -> Points:
    """Return the points with their values as the settings' types.

    Args:
        points: as read.
        methods: each with its complete default config and the keys that are not searched.
        ranges: of a person, in place of the shipped ones.

    Raises:
        UserError: a key that no method searches, a value outside its range, or a key left out
            whose default lies outside the range.
    """
    spaces = [
        (method, default, ranged(search_space(method.sections, fixed, method.searched), ranges))
        for method, default, fixed in methods
    ]
    merged: Space = {key: within for _, _, space in spaces for key, within in space.items()}
    checked = tuple({k: _checked(k, v, merged) for k, v in point.items()} for point in points)
    for point in checked:
        for method, default, space in spaces:
            lacking = [
                key
                for key, within in space.items()
                if not contains(within, {**default, **point}[key])
            ]
            if lacking and space.keys() & point.keys():
                raise UserError(
                    f"A point leaves out {lacking[0]}, whose default for {method.name}, "
                    f"{default[lacking[0]]}, lies outside the range asked for; give it a value."
                )
    return checked


def points_of(points: Points, space: Space, default: Config) -> tuple[Config, ...]:
    """Return the complete configs of the points that set something in a study's space.

    What a point leaves out has its default; what another method has is left away.
    """
    complete = [
        {**default, **{key: value for key, value in point.items() if key in default}}
        for point in points
        if space.keys() & point.keys()
    ]
    return tuple(complete)


def read_warm_start(folder: Path, results: Path, methods: Iterable[Method]) -> WarmStart:
    """Return the best config of each earlier study, by pair of stages, the latest study first.

    What an earlier call of the same search took from the folder is taken again: the configs are
    part of what a study is, and another search may have gone on there meanwhile.

    Raises:
        UserError: no results there, the same folder, or nothing of any of the methods.
    """
    if folder.resolve() == results.resolve():
        raise UserError(
            f"--warm-start {folder} is the folder of this search itself, which grows while it "
            "runs; name an earlier one, or another with --results."
        )
    frozen = _frozen(results, folder)
    needed = (
        *("study", "phase", "representation", "calibration", "status", "config_json"),
        *("val_balanced_accuracy", "trial_number", "is_default", "imbalance_factor"),
    )
    rows = open_store(folder).scan(needed).table.to_pylist()
    warm_start = {**best_configs(rows), **frozen}
    stages = [(method.representation, method.calibration) for method in methods]
    wanted = {pair(*both) for both in stages}
    wanted |= {pair(representation, NO_CALIBRATION) for representation, _ in stages}
    if not wanted & warm_start.keys():
        stored = ", ".join(sorted(warm_start)) or "none at all"
        raise UserError(
            f"The results in {folder} hold no finished search trial of "
            f"{', '.join(sorted(wanted))}; there are {stored}."
        )
    return warm_start


def freeze_warm_start(folder: Path, results: Path, warm_start: WarmStart) -> None:
    """Keep which configs a search took from a folder, for when it goes on."""
    if not results.is_dir():
        return
    path = _freezer(results, folder)
    path.parent.mkdir(exist_ok=True)
    pairs = {name: [dict(config) for config in configs] for name, configs in warm_start.items()}
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(pairs))


def _frozen(results: Path, folder: Path) -> WarmStart:
    try:
        pairs: dict[str, list[Config]] = json.loads(_freezer(results, folder).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {name: tuple(configs) for name, configs in pairs.items()}


def _freezer(results: Path, folder: Path) -> Path:
    return results / "warm-starts" / f"{content_hash(str(folder.resolve()))}.json"


def best_configs(rows: Iterable[Row]) -> WarmStart:
    """Return up to `N_CONFIGS` distinct configs of each pair: the best of its latest studies."""
    studies: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["phase"] == "search":
            name = pair(row["representation"], row["calibration"])
            studies.setdefault((name, row["study"]), []).append(row)
    best = [(name, top) for (name, _), of in studies.items() if (top := _best(of)) is not None]
    best.sort(key=lambda entry: (entry[1]["finished_at"], entry[1]["key"]), reverse=True)
    of_pair: dict[str, dict[str, Config]] = {}
    for name, row in best:
        config = config_of(row)
        of_pair.setdefault(name, {}).setdefault(canonical_json(dict(config)), config)
    return {name: tuple(configs.values())[:N_CONFIGS] for name, configs in of_pair.items()}


def _best(rows: list[Row]) -> Row | None:
    """Return the best search row of a study; over several factors, relative to the default."""
    factors = sorted({row.get("imbalance_factor") or 1.0 for row in rows})
    if len(factors) == 1:
        return next(iter(ranked(rows)), None)
    level = {factor: place for place, factor in enumerate(factors)}
    relative = relative_scores(rows, lambda row: level[row.get("imbalance_factor") or 1.0], factors)
    return next(iter(ranked(rows, lambda row: relative.get(row["key"]))), None)


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


def _checked(key: str, value: Any, space: Space) -> Scalar:
    if key not in space:
        raise unknown("searched setting", key, space)
    value = check_value(key, value, section_defaults(key.partition(".")[0]))
    if not contains(space[key], value):
        raise UserError(f"The point {key}: {value} lies outside its range, {space[key]}.")
    return value
