"""One study: its rows, its budget, and the next trial it wants."""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from functools import partial
from itertools import islice

from optuna.distributions import CategoricalDistribution

from lmd_bench.core.schema import Config, ProposedBy, TrialSpec, canonical_json
from lmd_bench.methods.best_epoch import first_judged
from lmd_bench.methods.settings import deferral_of
from lmd_bench.methods.space import Space
from lmd_bench.search import jobs
from lmd_bench.search.jobs import Row
from lmd_bench.search.proposing.hours import Clock, paid_by
from lmd_bench.search.proposing.levels import Baseline, fit_baseline, relative_scores
from lmd_bench.search.proposing.prior import draws_near
from lmd_bench.search.proposing.proposals import N_ASKS, Params, Proposals, Told, size
from lmd_bench.search.proposing.pruning import NONE, PRUNERS, Thresholds, judged
from lmd_bench.search.proposing.ranges import contains
from lmd_bench.search.proposing.samplers import LASTING, startup_of
from lmd_bench.search.staging import StudySpec

MOST_ALIKE = 10  # failures of one kind in a row; a study of the default 8 trials never gets there
ENCODER_RANK = "encoder_rank"  # the hyperparameter of a calibration study that picks the encoder


@dataclass(frozen=True)
class RankedEncoder:
    """One encoder of a representation study."""

    rank: int  # on val, from 1
    config: Config  # its training and representation keys
    is_default: bool


@dataclass(frozen=True)
class Proposal:
    """A trial that a study wants to be run."""

    spec: TrialSpec
    trial_number: int
    is_default: bool
    encoder_rank: int | None
    proposed_by: ProposedBy


class Study:
    """The state of one study. A calibration study has to be opened with encoders first."""

    def __init__(self, spec: StudySpec, rows: Iterable[Row], again: Iterable[Row] = ()) -> None:
        """Take up the search rows that the store holds of it; those of `again` run once more."""
        self.spec = spec
        self.rows: list[Row] = sorted(rows, key=lambda row: row["trial_number"])
        self._stored = {int(row["trial_number"]): row for row in self.rows}
        self._again: list[Row] = sorted(again, key=lambda row: row["trial_number"])
        self.running: dict[str, Proposal] = {}  # key -> trial
        self.clock = Clock()
        self.encoders: dict[int, RankedEncoder] = {}  # rank -> encoder that may be stood on
        self.n_stage1_trials: int | None = None  # that these were chosen among
        self._ranks: dict[str, int] = {}  # stage-1 config as text -> rank, of every encoder
        self._proposals: Proposals | None = None
        self._defaults: set[int] = set()  # numbers of the default's trials that were learned of
        if spec.stands_on is None:
            self._begin(spec.space)

    def open(self, base: "Study", top_k: int) -> None:
        """Offer a calibration study the `top_k` best encoders of `base` and the default config's.

        Encoders that its rows already stand on stay on offer: a larger budget may re-rank them.
        """
        # Ranks stand for encoders in the space that is searched: a sampler then learns that better
        # encoders give better methods, which it could not from a list of configs.
        encoders = base.ranked_encoders()
        self.n_stage1_trials = len(base.offered or ())
        self._ranks = {canonical_json(dict(encoder.config)): encoder.rank for encoder in encoders}
        used = {rank for row in self.rows if (rank := self.rank_of(jobs.config_of(row)))}
        self.encoders = {
            encoder.rank: encoder
            for encoder in encoders
            if encoder.rank <= top_k or encoder.is_default or encoder.rank in used
        }
        # Where every stage 1 failed there is nothing to stand on, and the study stays closed.
        if self.encoders:
            ranks = CategoricalDistribution(sorted(self.encoders))
            self._begin({**self.spec.space, ENCODER_RANK: ranks})

    @property
    def ready(self) -> bool:
        """Say whether the study can run trials."""
        return self._proposals is not None

    @property
    def budget(self) -> int:
        """Return how many trials the study has: no more than there are configs.

        Under a budget of hours it is what they allow at the mean cost of its trials so far.
        """
        if self.stopped:
            return len(self.rows) + len(self.running)
        space = self._proposals.space if self._proposals else self.spec.space
        n_trials = self._allowed() if self.spec.n_trials is None else self.spec.n_trials
        n_configs = size(space)
        if n_configs is None:
            return n_trials
        return min(n_trials, n_configs * self.spec.n_levels)

    @property
    def stopped(self) -> bool:
        """Say whether the latest trials all failed alike, so that more of them tell nothing."""
        latest = sorted(self._told_rows(), key=lambda row: row["trial_number"])[-MOST_ALIKE:]
        kinds = {jobs.kind_of_failure(row) for row in latest}
        return len(latest) == MOST_ALIKE and len(kinds) == 1 and None not in kinds

    @property
    def wants_trial(self) -> bool:
        """Say whether a further trial may start."""
        if not self.ready or len(self.rows) + len(self.running) >= self.budget:
            return False
        # Over several levels a score counts relative to the default's, which has to be known.
        waits = self.spec.n_levels > 1 and any(trial.is_default for trial in self.running.values())
        return not waits or self._next_number() < self.spec.n_levels

    @property
    def done(self) -> bool:
        """Say whether the budget is used and no trial runs."""
        return self.ready and not self.running and len(self.rows) >= self.budget

    @property
    def offered(self) -> list[Row] | None:
        """Return the trials whose encoders calibrations choose among; None until all have ended.

        These are the trials that one share of the budget pays for. A method of one stage has the
        budget of two, here or in an earlier search, and others would choose among more than they
        pay for.
        """
        rows = sorted(self.rows, key=lambda row: row["trial_number"])
        # Up to the first number that is not there yet: which trial ends when must not matter.
        numbers = {int(row["trial_number"]) for row in rows}
        missing = next(n for n in range(len(rows) + 1) if n not in numbers)
        n_first = self._first_share([row for row in rows if row["trial_number"] < missing])
        if n_first is None:
            return rows if self.done else None
        return rows[:n_first]

    @property
    def share(self) -> float:
        """Return the part of the budget that is done or running."""
        return (len(self.rows) + len(self.running)) / self.budget

    def thresholds(self, proposal: Proposal) -> Thresholds:
        """Return the scores below which a trial that starts now is to end; none for the default."""
        # The default is what tuning is compared with, so it always runs to its end.
        study = self.spec
        if study.pruner == NONE or proposal.is_default:
            return ()
        # No trial is judged before its method's main phase has begun (say, before DRW sets in): it
        # would be ended for what the method has not done yet.
        first = max(self.judged_from(proposal.spec.config), study.grace_period)
        # What is good at an easy level says nothing of a hard one.
        level = study.level_of(proposal.trial_number)
        rows = [
            row
            for row in self._told_rows()
            if row["status"] in ("ok", "pruned") and self.level(row) == level
        ]
        # Where the deferral point is searched, each trial has its own.
        curves = [
            judged(jobs.stage1_curve(row), self.judged_from(jobs.config_of(row))) for row in rows
        ]
        return PRUNERS[study.pruner](curves, study.n_epochs, first, proposal.trial_number)

    def judged_from(self, config: Config) -> int:
        """Return the first epoch of stage 1 that a trial of a config may be judged by."""
        deferral = deferral_of(self.spec.method.representation, config)
        return first_judged(deferral, self.spec.n_epochs)

    def ask(self) -> Proposal:
        """Return the next trial: the default, points, a portfolio's, then the sampler's."""
        assert self._proposals is not None, "a study is opened before it is asked"
        proposal = self._repeat(self._again.pop(0)) if self._again else self._new()
        self.running[proposal.spec.key] = proposal
        self.clock.begins(proposal.spec.key)
        return proposal

    def tell(self, row: Row) -> None:
        """Take the row of a trial that was asked for."""
        proposal = self.running.pop(row["key"])
        self.clock.ends(row["key"])
        self.rows.append(row)
        self._learn(proposal, row)

    def ranked_encoders(self) -> list[RankedEncoder]:
        """Return the encoders of the successful trials on offer, best on val first.

        Over several levels, where each config has an encoder at every level, it is the config that
        is ranked, by what it came to relative to the default.
        """
        rows = self.offered or []
        ranked = jobs.ranked(rows, jobs.encoder_score)
        if self.spec.n_levels > 1:
            relative = relative_scores(rows, self.level, self.factors, jobs.encoder_score)
            ranked = jobs.ranked(rows, lambda row: relative.get(row["key"]))
        configs: dict[str, tuple[Config, bool]] = {}
        for row in ranked:
            config = self._stage1(jobs.config_of(row))
            configs.setdefault(canonical_json(dict(config)), (config, bool(row["is_default"])))
        return [
            RankedEncoder(rank, config, is_default)
            for rank, (config, is_default) in enumerate(configs.values(), start=1)
        ]

    def rank_of(self, config: Config) -> int | None:
        """Return the rank of the encoder that a config stands on; None if it has none."""
        return self._ranks.get(canonical_json(dict(self._stage1(config))))

    def spec_of(self, config: Config, level: int = 0) -> TrialSpec:
        """Return the search trial of a complete config at a level."""
        return self.spec.trial(config, level)

    def level(self, row: Row) -> int:
        """Return the level that a search row was run at."""
        return self.spec.level_of(int(row["trial_number"]))

    @property
    def factors(self) -> list[float]:
        """Return the imbalance factors of the levels; 1 where one keeps what exists."""
        return [task.imbalance_factor or 1.0 for task, _ in self.spec.levels]

    def _begin(self, space: Space) -> None:
        self._proposals = self._no_proposals(space)
        # The sampler learns of the stored trials in the order of their numbers, not of their ends:
        # that is the same however often a search was cut off.
        seen: set[str] = set()
        for row in self.rows:
            config = jobs.config_of(row)
            if self._in_space(config):
                self._relearn(row, self._params(config), seen)
            seen.add(row["key"])

    def _relearn(self, row: Row, params: Params, seen: Set[str]) -> None:
        assert self._proposals is not None
        if self._is_of_levels(row):
            self._learn_default(row)
            return
        outcome = self._outcome(row)
        if self.spec.sampler not in LASTING:
            self._proposals.add(params, outcome)
            return
        # Such a sampler remembers what it was asked, so it is asked again: generations of NSGA-II
        # and the distribution of CMA-ES would else begin anew at each resume.
        number = int(row["trial_number"])
        self._proposals.repeat(
            number,
            params,
            outcome,
            lambda drawn: self._spec(drawn, number).key not in seen,
            drawn=self._proposed_by(row) == "sampler",
        )

    def _no_proposals(self, space: Space) -> Proposals:
        spec = self.spec
        n_startup = startup_of(spec.n_trials)
        n_objectives = len(spec.objectives)
        return Proposals(space, spec.sampler_seed, spec.sampler, n_objectives, n_startup)

    def _outcome(self, row: Row) -> Told:
        curve = jobs.stage1_curve(row) if row["status"] == "pruned" else ()
        values = jobs.values_of(row, self.spec.objectives)
        if self.spec.n_levels > 1 and values is not None:
            values = self._baseline().relative(values, self.level(row))
        return Told(values, curve)

    def _baseline(self) -> Baseline:
        values = partial(jobs.values_of, objectives=self.spec.objectives)
        return fit_baseline(self.rows, self.level, self.factors, values, len(self.spec.objectives))

    def _allowed(self) -> int:
        assert self.spec.hours is not None, "a study has trials or hours"
        alone = self.spec.stands_on is None
        return self.clock.allowed(self.spec.hours, self.rows, list(self.running), alone=alone)

    def _first_share(self, rows: list[Row]) -> int | None:
        """Return how many trials one share of the budget pays for; None while that is not known."""
        if self.spec.n_trials is not None:
            n_first = self.spec.n_trials // self.spec.n_shares
            return n_first if len(rows) >= n_first else None
        assert self.spec.hours is not None, "a study has trials or hours"
        return paid_by(self.spec.hours / self.spec.n_shares, rows)

    def _told_rows(self) -> list[Row]:
        """Return the rows that a decision may go by."""
        return self.rows

    def _next_number(self) -> int:
        if self._again:
            return int(self._again[0]["trial_number"])
        # The least number that is free. A trial that was cut off leaves a gap among those that ran
        # beside it, and a number seeds its draw, so the gap is filled from the same seed.
        taken = {int(row["trial_number"]) for row in self.rows}
        taken |= {trial.trial_number for trial in self.running.values()}
        return next(n for n in range(len(taken) + 1) if n not in taken)

    def _new(self) -> Proposal:
        number = self._next_number()
        return self._propose(number, {row["key"] for row in self.rows} | set(self.running))

    def _repeat(self, row: Row) -> Proposal:
        assert self._proposals is not None, "a study is opened before it is asked"
        number, config = int(row["trial_number"]), jobs.config_of(row)
        if self._in_space(config) and not self._is_of_levels(row):
            self._proposals.use(number, self._params(config))
        rank = self.rank_of(config) if self.spec.stands_on else None
        spec = self.spec_of(config, self.spec.level_of(number))
        return Proposal(spec, number, bool(row["is_default"]), rank, self._proposed_by(row))

    def _proposed_by(self, row: Row) -> ProposedBy:
        if row.get("proposed_by"):
            return row["proposed_by"]
        # Of an earlier version.
        number = int(row["trial_number"])
        if number < self.spec.n_levels:
            return "default"
        return "point" if number < self.spec.n_levels + len(self.spec.points) else "sampler"

    def _propose(self, number: int, seen: Set[str]) -> Proposal:
        assert self._proposals is not None
        if number < self.spec.n_levels:
            return self._default(number)
        given = self._point(number, seen) or self._of_block(number, seen)
        if given is not None:
            return given

        def is_new(drawn: Params) -> bool:
            return self._spec(drawn, number).key not in seen

        params, by = self._near_default(number, is_new), "prior"
        if params is None:
            params, by = self._proposals.ask(number, is_new), "sampler"
        return Proposal(self._spec(params, number), number, False, _rank(params), by)

    def _learn(self, proposal: Proposal, row: Row) -> None:
        assert self._proposals is not None, "a study is opened before it is told"
        if self._is_of_levels(row):
            self._learn_default(row)
            return
        if self._in_space(proposal.spec.config):
            self._proposals.tell(proposal.trial_number, self._outcome(row))

    def _is_of_levels(self, row: Row) -> bool:
        """Say whether a row is one of several of the default, of which the sampler learns once."""
        return self.spec.n_levels > 1 and bool(row["is_default"])

    def _learn_default(self, row: Row) -> None:
        """Tell the sampler of the default as one trial, once all of its levels have ended."""
        assert self._proposals is not None
        n_levels, config = self.spec.n_levels, self.spec.default
        self._defaults.add(int(row["trial_number"]))
        if len(self._defaults) < n_levels or not self._in_space(config):
            return
        outcomes = [self._outcome(row).values for row in self.rows if self._is_of_levels(row)]
        ended = [values for values in outcomes if values is not None]
        means = tuple(sum(of) / len(of) for of in zip(*ended, strict=True))
        self._proposals.use(0, self._params(config))
        self._proposals.tell(0, Told(means or None))

    def _default(self, number: int) -> Proposal:
        assert self._proposals is not None
        config = self.spec.default
        rank = self.rank_of(config) if self.spec.stands_on else None
        if self._in_space(config) and self.spec.n_levels == 1:
            self._proposals.use(number, self._params(config))
        spec = self.spec_of(config, self.spec.level_of(number))
        return Proposal(spec, number, True, rank, "default")

    def _point(self, number: int, seen: Set[str]) -> Proposal | None:
        place = number - self.spec.n_levels
        if place >= len(self.spec.points):
            return None
        # A point brings its own stage 1; where that is not on offer it stands on the best.
        config = self.spec.points[place]
        return self._given(config, self.rank_of(config), number, seen, "point")

    def _of_block(self, number: int, seen: Set[str]) -> Proposal | None:
        stored = self._stored.get(number)
        if stored is not None:
            # Asked again: what was tried then counts, whatever is in the portfolio by now.
            if stored.get("proposed_by") != "portfolio":
                return None
            config = jobs.config_of(stored)
            return self._given(config, self.rank_of(config), number, seen, "portfolio")
        place = number - self.spec.n_levels - len(self.spec.points)
        if not 0 <= place < len(self.spec.block):
            return None
        # It says nothing of stage 1 to a calibration, which stands on the best.
        return self._given(self.spec.block[place], None, number, seen, "portfolio")

    def _given(
        self, config: Config, rank: int | None, number: int, seen: Set[str], by: ProposedBy
    ) -> Proposal | None:
        """Return the trial of a config that no sampler drew; None where it has been run."""
        assert self._proposals is not None
        params: Params = {key: config[key] for key in self.spec.space}
        if self.encoders:
            params[ENCODER_RANK] = rank if rank in self.encoders else min(self.encoders)
        spec = self._spec(params, number)
        if spec.key in seen:
            return None
        self._proposals.use(number, params)
        return Proposal(spec, number, False, _rank(params), by)

    def _near_default(self, number: int, is_new: Callable[[Params], bool]) -> Params | None:
        """Return a draw near the default for the trials that --prior gives to it."""
        assert self._proposals is not None
        if not self.spec.prior:
            return None
        spec, space = self.spec, self._proposals.space
        drawn = draws_near(space, spec.default, number, spec.n_trials, spec.sampler_seed)
        params = next((params for params in islice(drawn, N_ASKS) if is_new(params)), None)
        return None if params is None else self._proposals.use(number, params)

    def _in_space(self, config: Config) -> bool:
        # The default config may lie outside ranges that a person gave, and stands on no ranked
        # encoder where its own stage 1 failed.
        if not all(contains(within, config[key]) for key, within in self.spec.space.items()):
            return False
        return self.spec.stands_on is None or self.rank_of(config) in self.encoders

    def _params(self, config: Config) -> Params:
        params: Params = {key: config[key] for key in self.spec.space}
        if self.spec.stands_on and (rank := self.rank_of(config)):
            params[ENCODER_RANK] = rank
        return params

    def _spec(self, params: Params, number: int) -> TrialSpec:
        rank = _rank(params)
        stage1 = self.encoders[rank].config if rank else {}
        own = {key: value for key, value in params.items() if key != ENCODER_RANK}
        return self.spec_of({**self.spec.default, **stage1, **own}, self.spec.level_of(number))

    def _stage1(self, config: Config) -> Config:
        return jobs.stage1_part(config, self.spec.method.representation)


def _rank(params: Params) -> int | None:
    rank = params.get(ENCODER_RANK)
    return int(rank) if rank is not None else None
