"""All that may be asked of a search, in groups: what the command line and Python both fill."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from lmd_bench.core import outside, paths
from lmd_bench.core.errors import UserError
from lmd_bench.core.option_files import plain_options
from lmd_bench.core.options import (
    NATURAL,
    Option,
    parse_factors,
    parse_range,
    parse_seeds,
    split_commas,
)
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data.options import DataOptions, TaskOptions

if TYPE_CHECKING:
    from lmd_bench.data.build import OnImages
    from lmd_bench.search.request import SearchRequest

Sampler = Literal["tpe", "random", "cmaes", "gp", "nsga2", "qmc"]
KeepEncoders = Literal["all", "used", "none"]
Pruner = Literal["none", "median", "halving", "hyperband"]
SHIPPED = "portfolio"  # the points that come with the package
NO_POINTS = "none"
CORE = "core"  # the group of methods that a search takes where none is named


@dataclass(frozen=True)
class Budget:
    """How much each stage of a method gets, and each trial."""

    panel: ClassVar[str] = "Budget"

    trials: Annotated[
        int | None, Option("Trials of each stage, the default first; 8 if not given.")
    ] = None
    budget_of: Annotated[
        Literal["total", "per-study"],
        Option(
            "Methods of one stage get what both stages of others get together, or as one of them.",
            flag="--budget",
        ),
    ] = "total"
    gpu_hours: Annotated[
        float | None,
        Option("Instead: hours of a GPU for each stage; of a core where there is none."),
    ] = None
    epochs: Annotated[int, Option("Epochs of stage 1.", low=1)] = 10
    trial_timeout: Annotated[
        float | None, Option("Minutes after which a trial ends, at its next epoch.")
    ] = None

    def fields(self) -> dict[str, Any]:
        """Return the budget as a search is asked for it.

        Raises:
            UserError: trials and hours at once.
        """
        if self.trials is not None and self.gpu_hours is not None:
            raise UserError("A study has trials or gpu_hours as its budget; give one of them.")
        minutes = self.trial_timeout
        return {
            "n_trials": 8 if self.trials is None else self.trials,
            "hours": self.gpu_hours,
            "equal_totals": self.budget_of == "total",
            "n_epochs": self.epochs,
            "trial_seconds": None if minutes is None else 60 * minutes,
        }


@dataclass(frozen=True)
class Proposing:
    """How configs are proposed, equal for all studies of a search, and what from."""

    panel: ClassVar[str] = "Proposing"

    sampler: Annotated[Sampler, Option("What proposes configs.")] = "tpe"
    pruner: Annotated[Pruner, Option("What ends trials that fall behind.")] = "none"
    grace_period: Annotated[
        int, Option("Epochs of stage 1 that a trial has before a pruner may end it.", low=1)
    ] = 1
    objectives: Annotated[str, Option("One or two metrics on val for the sampler, by comma.")] = (
        "balanced_accuracy"
    )
    joint: Annotated[bool, Option("Search both stages together, not one on the other.")] = False
    deterministic: Annotated[bool, Option("The same trials at any concurrency.")] = False
    top_k: Annotated[int, Option("Encoders, best on val, that a calibration may stand on.")] = 3
    factor_levels: Annotated[
        int, Option("Imbalance factors that a range, 10:200, is drawn from.", low=2)
    ] = 5
    robust: Annotated[
        Literal["mean", "worst"],
        Option("Over such a range, what is chosen by: the score less the default's."),
    ] = "mean"
    range: Annotated[
        list[str] | None,
        Option("Search section.key=low:high (or one,another) instead; repeat.", pairs=True),
    ] = None
    points: Annotated[
        Path,
        Option(
            "Tried right after the default: `portfolio`, learned from earlier results; `none`; or "
            "a YAML file, a list of configs or what `portfolio learn` wrote.",
            words=(SHIPPED, NO_POINTS),
        ),
    ] = Path(SHIPPED)
    warm_start: Annotated[
        Path | None, Option("Earlier results folder, whose best configs come next.")
    ] = None
    prior: Annotated[
        bool, Option("Draw near the default at first, and ever less so; with tpe, gp, random.")
    ] = False

    def fields(self) -> dict[str, Any]:
        """Return the strategy as a search is asked for it, without what configs are drawn from."""
        return {
            "sampler": self.sampler,
            "pruner": self.pruner,
            "grace_period": self.grace_period,
            "objectives": tuple(name.strip() for name in self.objectives.split(",")),
            "joint": self.joint,
            "deterministic": self.deterministic,
            "top_k": self.top_k,
            "robust": self.robust,
            "prior": self.prior,
        }


@dataclass(frozen=True)
class Resources:
    """What a search may use, and where."""

    panel: ClassVar[str] = "Resources"

    max_concurrent: Annotated[int | None, Option("Trials at once.")] = None
    cpus_per_trial: Annotated[int | None, Option("Cores, and threads, a trial.")] = None
    gpus_per_trial: Annotated[
        str | None, Option("GPUs a trial, or a share; `auto` measures what is needed.")
    ] = None
    address: Annotated[str, Option("Ray cluster to join; `local` starts one on loopback.")] = (
        "local"
    )
    mirror: Annotated[
        str, Option("URL (s3://, sftp://, ...) that all rows are put to and taken from.")
    ] = ""
    keep_encoders: Annotated[
        KeepEncoders,
        Option("Encoders kept once their study has ended: all, those of use, none but of models."),
    ] = "used"
    track: Annotated[
        list[str] | None,
        Option("Send rows to mlflow, wandb, tensorboard or trackio, or to mlflow=URI; repeat."),
    ] = None
    verbose: Annotated[bool, Option("Show what Ray prints, too.")] = False

    def fields(self) -> dict[str, Any]:
        """Return the resources as a search is asked for them.

        Raises:
            UserError: a share of a GPU that is no number, or an unknown tracker.
        """
        from lmd_bench.tracking.sending import destinations

        share: float | str | None = self.gpus_per_trial
        if share is not None and share != "auto":
            try:
                share = float(share)
            except ValueError:
                raise UserError(
                    f"Option gpus_per_trial {share} is neither a number nor `auto`; give, say, 0.5."
                ) from None
        return vars(self) | {"gpus_per_trial": share, "track": destinations(self.track or ())}


@dataclass(frozen=True)
class Repetition:
    """What is run more than once: confirmations, and trials that failed."""

    panel: ClassVar[str] = "Confirmation"

    confirm_seeds: Annotated[
        int, Option("Fresh seeds that the chosen and default configs are retrained on.")
    ] = 5
    select_top: Annotated[
        int, Option("Best on val, and the default, that race on fresh seeds to be the chosen one.")
    ] = 1
    select_seeds: Annotated[int, Option("Fresh seeds of each in that race, at most.")] = 3
    retry_failed: Annotated[
        bool, Option("Run again what was lost, timed out, ran out of memory or erred.")
    ] = False


@dataclass(frozen=True)
class SearchOptions:
    """A search as a person asks for it; `request` turns it into what is run."""

    dataset: Annotated[list[str], Option("Data sets; repeat or use commas.")]
    method: Annotated[
        list[str] | None,
        Option("Methods or groups (core, all); core if not given. Repeat or use commas."),
    ] = None
    imbalance_factor: Annotated[
        list[str] | None,
        Option(
            "n_max / n_min of train, or `natural` (default of a search); repeat or use commas. A "
            "range, 10:200, is drawn from by each trial of one study."
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        Option("Fix a hyperparameter: section.key=value; repeat.", flag="--set", pairs=True),
    ] = None
    seed: Annotated[int, Option("Base of all training seeds.")] = 0
    search_seeds: Annotated[
        str | None, Option("Repeat the search with these seeds: 0:3 is 0,1,2; or by comma.")
    ] = None
    split_seeds: Annotated[
        str | None, Option("Repeat it on the splits of these seeds, in the same way.")
    ] = None
    repeats: Annotated[
        int, Option("Repeat the cross-validation of --folds, dealt anew each time.", low=1)
    ] = 1
    results: Annotated[Path, Option("Folder of the results.")] = paths.default_results()
    task: TaskOptions = TaskOptions()
    data: DataOptions = DataOptions()
    budget: Budget = Budget()
    proposing: Proposing = Proposing()
    repetition: Repetition = Repetition()
    resources: Resources = Resources()

    def factors(self, default: str = NATURAL) -> list[float | None]:
        """Return the imbalance factors; `natural` is None.

        Raises:
            UserError: neither a number of at least 1 nor `natural`.
        """
        return parse_factors(self.imbalance_factor or [default])

    def specs(self) -> list[TaskSpec]:
        """Return every data set at every factor.

        Raises:
            UserError: an unknown data set or protocol, or a factor that is not possible.
        """
        return self._specs_at(self.factors())

    def _specs_at(self, factors: Sequence[float | None]) -> list[TaskSpec]:
        from lmd_bench.data.build import task_specs

        protocol, _, image_size, n_max = self.task.ways
        seeds, names = self._split_seeds(), split_commas(self.dataset)
        return [
            spec
            for seed in seeds
            for spec in task_specs(names, factors, protocol, seed, image_size, n_max)
        ]

    def _split_seeds(self) -> list[int]:
        seed, folds = self.task.split_seed, self.task.folds
        if self.repeats > 1 and (folds is None or seed or self.split_seeds is not None):
            raise UserError(
                "--repeats repeats all folds of --folds; give --folds, and neither --split-seed "
                "nor --split-seeds."
            )
        if self.split_seeds is not None:
            if seed:
                raise UserError("Give --split-seed or --split-seeds, not both.")
            return parse_seeds(self.split_seeds)
        return [seed] if folds is None or seed else list(range(folds * self.repeats))

    def _ranged_specs(
        self, ends: tuple[float, float], source: DataSource, progress: "OnImages | None"
    ) -> list[TaskSpec]:
        """Return the tasks that trials draw from: train sets that nest, the same val and test.

        Raises:
            UserError: data that cannot give all of these factors.
        """
        from lmd_bench.data.build import prepare_dataset
        from lmd_bench.data.tasks.nesting import ranged_specs

        specs: list[TaskSpec] = []
        for spec in self._specs_at([None]):
            table = prepare_dataset(spec.dataset, source, spec.image_size, progress).table
            specs += ranged_specs(table, spec, ends, self.proposing.factor_levels, source)
        return specs

    def by_seed(self, request: "SearchRequest") -> list["SearchRequest"]:
        """Return the request once for each search seed, or as it is.

        Raises:
            UserError: a seed was given as well, or no seeds.
        """
        if self.search_seeds is None:
            return [request]
        if self.seed:
            raise UserError("Give --seed or --search-seeds, not both.")
        once = {name: value for name, value in request.asked.items() if name != "search_seeds"}
        return [
            replace(request, seed=seed, asked={**once, "seed": seed})
            for seed in parse_seeds(self.search_seeds)
        ]

    def request(
        self,
        specs: Sequence[TaskSpec] | None = None,
        *,
        command: str = "",
        progress: "OnImages | None" = None,
    ) -> "SearchRequest":
        """Return the search that is asked for, on tasks whose images are prepared on the way.

        Args:
            specs: The tasks, where they are others than `specs()`.
            command: The command line, for the rows.
            progress: Called as images are decoded.

        Raises:
            UserError: unknown methods, settings or ranges, or data that cannot give a task.
        """
        from lmd_bench.data.build import build_tasks
        from lmd_bench.methods.catalogue import resolve_methods
        from lmd_bench.methods.settings import parse_settings
        from lmd_bench.search.proposing.points import read_warm_start
        from lmd_bench.search.proposing.portfolio import first_tried
        from lmd_bench.search.proposing.ranges import parse_ranges
        from lmd_bench.search.request import SearchRequest

        # What is mistyped is told before images are prepared, which may take long.
        methods = resolve_methods(split_commas(self.method or [CORE]))
        overrides = parse_settings(self.settings or [])
        asked, source = self.proposing, self.data.source(self.task.split_dir)
        ranges = parse_ranges(asked.range or [], methods)
        earlier = asked.warm_start
        points, portfolio = first_tried(asked.points)
        if specs is not None and (self.split_seeds is not None or self.task.folds is not None):
            raise UserError(
                "A sweep takes one split; give --split-seed in place of --split-seeds or --folds."
            )
        drawn = None if specs is not None else parse_range(self.imbalance_factor or [])
        if drawn is not None:
            wanted = self._ranged_specs(drawn, source, progress)
        else:
            wanted = self.specs() if specs is None else specs
        tasks = build_tasks(wanted, source, progress)
        _check_groups(asked.objectives, tasks, source)
        if self.repetition.confirm_seeds:
            _check_test(tasks, source)
        return SearchRequest(
            methods=methods,
            overrides=overrides,
            tasks=tasks,
            over_factors=drawn is not None,
            results=self.results.resolve(),
            seed=self.seed,
            ranges=ranges,
            source=source,
            points=points,
            portfolio=portfolio,
            warm_start=read_warm_start(earlier, self.results, methods) if earlier else {},
            warm_folder=earlier,
            command=command,
            asked=self._asked(specs),
            **self.budget.fields(),
            **asked.fields(),
            **vars(self.repetition),
            **self.resources.fields(),
        )

    def _asked(self, specs: Sequence[TaskSpec] | None) -> dict[str, Any]:
        """Return the options as a file holds them; nothing where no file asks for those tasks."""
        asked = plain_options(self) | outside.plain_places()
        if specs is None:
            return asked
        # A sweep chooses n_max itself, for each data set one.
        factors = [
            NATURAL if spec.imbalance_factor is None else str(spec.imbalance_factor)
            for spec in specs
        ]
        asked["imbalance_factor"] = list(dict.fromkeys(factors))
        largest = {spec.n_max for spec in specs}
        if largest != {None}:
            asked["n_max"] = min(n for n in largest if n is not None)
        return asked if len(largest) == 1 else {}


def _check_groups(
    objectives: str, tasks: Iterable[tuple[TaskSpec, str]], source: DataSource
) -> None:
    """Refuse to search by the recall of a group that a task has no class of."""
    from lmd_bench.data.build import prepare_dataset
    from lmd_bench.data.tasks.long_tail import groups_by_third
    from lmd_bench.stats.metrics import METRICS

    names = [name.strip() for name in objectives.split(",")]
    wanted = {metric.group: metric.name for n in names if (metric := METRICS.get(n)) is not None}
    wanted.pop(None, None)
    if not wanted:
        return
    for spec, _ in tasks:
        table = prepare_dataset(spec.dataset, source, spec.image_size).table
        absent = wanted.keys() - set(groups_by_third(range(len(table.class_names))))
        for group in absent:
            raise UserError(
                f"Objective {wanted[group]} is not defined on {spec.dataset}: of its "
                f"{len(table.class_names)} classes none is {group}; leave it out."
            )


def _check_test(tasks: Iterable[tuple[TaskSpec, str]], source: DataSource) -> None:
    """Refuse to confirm on a published split that has no test."""
    from lmd_bench.data.build import prepare_dataset
    from lmd_bench.data.tasks.protocols import cut

    for spec, _ in tasks:
        if spec.protocol != "official":
            continue
        table = prepare_dataset(spec.dataset, source, spec.image_size).table
        if not len(cut(table, spec, source).test):
            raise UserError(
                f"The published split of {spec.dataset} has no test images, so nothing can be "
                "confirmed; give --confirm-seeds 0 to search on val alone, or --hold-out-test 0.2."
            )
