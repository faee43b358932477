"""What a person asks of a search."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lmd_bench.core import paths
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Config, DataSource, Scalar, TaskSpec, TrialContext
from lmd_bench.methods.catalogue import Method
from lmd_bench.methods.settings import check_keys, default_config
from lmd_bench.methods.tuning import check_tuning, for_features
from lmd_bench.search.proposing.points import Points, WarmStart, check_points
from lmd_bench.search.proposing.portfolio import Portfolio
from lmd_bench.search.proposing.prior import check_prior
from lmd_bench.search.proposing.pruning import NONE, check_pruner
from lmd_bench.search.proposing.samplers import check_sampler
from lmd_bench.stats.metrics import METRICS
from lmd_bench.tracking.sending import Destination

KeepEncoders = Literal["all", "used", "none"]
Robust = Literal["mean", "worst"]
METRIC = "balanced_accuracy"  # by which trials are selected, whatever the objectives are
# Never searched, and ranges follow them even where they are defaults.
_DECIDES_RANGES = ("training.optimiser", "training.pretrained", "training.weights")
OBJECTIVES = tuple(name for name, metric in METRICS.items() if metric.objective)


@dataclass(frozen=True)
class SearchRequest:
    """Which methods are searched on which tasks, under which budget, and where it is stored."""

    methods: tuple[Method, ...]
    tasks: tuple[tuple[TaskSpec, str], ...]  # each with the fingerprint of the built task
    results: Path
    n_trials: int = 8  # of each study, where no hours are given
    hours: float | None = None  # of each study: of a GPU, or of a core where there is none
    equal_totals: bool = False  # a method of one stage has twice that, as both stages of others do
    trial_seconds: float | None = None  # after which a trial ends at its next epoch
    n_epochs: int = 10  # of stage 1
    confirm_seeds: int = 5
    select_top: int = 1  # best on val that race for the confirmation; 1: the best is confirmed
    select_seeds: int = 3  # fresh seeds of each in that race, at most
    seed: int = 0  # base of all seeds
    sampler: str = "tpe"
    pruner: str = NONE
    grace_period: int = 1  # epochs of stage 1 that a trial has before a pruner may end it
    objectives: tuple[str, ...] = (METRIC,)  # on val; the sampler is told of these
    joint: bool = False  # both stages together in each trial, in place of one after the other
    deterministic: bool = False  # the same trials at any concurrency
    retry_failed: bool = False  # what failed for a reason outside its config runs again
    keep_encoders: KeepEncoders = "used"  # once the study that trained them has ended
    over_factors: bool = False  # tasks that differ in their factor alone are levels of one study
    robust: Robust = "mean"  # over those levels, of the score less the default's there
    top_k: int = 3  # encoders, best on val first, that a calibration study may stand on
    overrides: Config = field(default_factory=dict[str, Scalar])  # these keys are not searched
    ranges: Mapping[str, str] = field(default_factory=dict[str, str])  # in place of the shipped
    prior: bool = False  # draws near the default at first
    points: Points = ()  # tried right after the default
    # What earlier results say comes after those; None: a person wants nothing of it.
    portfolio: Portfolio | None = Portfolio()
    warm_start: WarmStart = field(default_factory=dict[str, tuple[Config, ...]])
    warm_folder: Path | None = None  # that they were taken from
    source: DataSource = DataSource()
    max_concurrent: int | None = None  # None: as many as fit
    cpus_per_trial: int | None = None
    gpus_per_trial: float | Literal["auto"] | None = None
    mirror: str = ""  # URL of a copy of the results, for machines that share no folder
    track: tuple[Destination, ...] = ()  # trackers that rows are sent to as well
    verbose: bool = False  # Ray's own output on the screen too
    command: str = ""  # the command line, for the rows
    asked: Mapping[str, Any] = field(default_factory=dict[str, Any])  # options, as a file has them
    address: str = "local"  # of a Ray cluster to join; "local" starts one on loopback

    def __post_init__(self) -> None:
        """Check the numbers and the overrides.

        Raises:
            UserError: nothing to search, a number that is too small, an unknown override, or
                a point outside the space.
        """
        if not self.methods or not self.tasks:
            raise UserError("A search takes at least one method and one task.")
        # An option is named as in Python; on the command line it has dashes.
        least = {"trials": (self.n_trials, 1), "epochs": (self.n_epochs, 1)}
        least |= {"confirm_seeds": (self.confirm_seeds, 0), "top_k": (self.top_k, 1)}
        least |= {"select_top": (self.select_top, 1), "select_seeds": (self.select_seeds, 1)}
        least |= {"grace_period": (self.grace_period, 1)}
        for option, (value, low) in least.items():
            if value < low:
                raise UserError(f"Option {option} {value} is not possible; give {low} or more.")
        with_images = {bool(task.image_size) for task, _ in self.tasks}
        if len(with_images) > 1:
            raise UserError(
                "Images and features cannot be searched at once, for not the same is trained on "
                "them; run one search for each, with the same --results."
            )
        if with_images == {False}:
            object.__setattr__(self, "overrides", for_features(self.overrides))
        check_keys(self.overrides, self.methods)
        defaults = [(method, self.default_of(method)) for method in self.methods]
        check_tuning(defaults, has_images=with_images == {True})
        check_sampler(self.sampler, len(self.objectives))
        check_pruner(self.pruner, self.grace_period, self.n_epochs)
        if self.prior:
            check_prior(self.sampler)
        self._check_ways()
        self._check_levels()
        if self.points:
            settings = [(m, self.default_of(m), self.fixed_of(m)) for m in self.methods]
            object.__setattr__(self, "points", check_points(self.points, settings, self.ranges))

    def _check_ways(self) -> None:
        for name in self.objectives:
            if name not in OBJECTIVES:
                raise unknown("objective", name, OBJECTIVES)
        if len(set(self.objectives)) != len(self.objectives) or len(self.objectives) not in (1, 2):
            raise UserError("Option objectives takes one metric, or two that differ.")
        if len(self.objectives) > 1 and self.pruner != NONE:
            raise UserError("A pruner judges by one objective; leave out the pruner or the second.")
        times = {"gpu_hours": self.hours, "trial_timeout": self.trial_seconds}
        for option, time in times.items():
            if time is not None and not time > 0:
                raise UserError(f"Option {option} {time:g} is not possible; give more than 0.")
        if self.retry_failed and self.mirror:
            raise UserError(
                "Option retry_failed replaces rows, which a mirror keeps as they are; leave out "
                "mirror, or delete the failed rows in both places."
            )
        if self.deterministic and (self.hours or self.trial_seconds):
            raise UserError(
                "Option deterministic gives the same trials anywhere, which hours cannot; "
                "give trials, and no trial_timeout."
            )

    def _check_levels(self) -> None:
        if not self.over_factors:
            return
        if self.select_top > 1:
            raise UserError(
                "A study over a range of imbalance factors chooses over all of them, not by a "
                "race; leave out select_top, or give single factors."
            )
        n_levels = len({task.imbalance_factor for task, _ in self.tasks})
        if not self.hours and self.n_trials <= n_levels:
            raise UserError(
                f"A study over {n_levels} imbalance factors begins with the default at each of "
                f"them, so {self.n_trials} trials search nothing; give trials {n_levels + 1} or "
                "more, or fewer factor_levels."
            )

    def context(self, dataset: str) -> TrialContext:
        """Return where and how each trial on a data set runs."""
        asked = self.gpus_per_trial  # "auto" until a search has measured: in a plan
        share = 0.0 if asked is None or asked == "auto" else asked
        return TrialContext(
            results=self.results,
            source=paths.located(dataset, self.source),
            device="cuda" if share else "cpu",  # Ray hides no GPU from a trial
            n_threads=self.cpus_per_trial or 1,
            gpu_share=share,
            mirror=self.mirror,
            time_limit=self.trial_seconds,
            deterministic=self.deterministic,
            command=self.command,
        )

    def default_of(self, method: Method) -> dict[str, Scalar]:
        """Return the complete default config of a method, the overrides it has applied."""
        settings = default_config(method)
        return default_config(method, {k: v for k, v in self.overrides.items() if k in settings})

    def fixed_of(self, method: Method) -> Mapping[str, Scalar]:
        """Return what is not searched for a method: its settings, overrides, and how it starts."""
        default = self.default_of(method)
        keys = (*method.settings, *self.overrides, *_DECIDES_RANGES)
        return {k: default[k] for k in keys if k in default}
