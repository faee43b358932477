"""One study: its rows, its budget, and the next trial it wants."""

import time
from collections.abc import Iterable, Set
from dataclasses import dataclass

from optuna.distributions import CategoricalDistribution

from lmd_bench.core.schema import Config, TrialSpec, canonical_json
from lmd_bench.methods.best_epoch import first_judged
from lmd_bench.methods.settings import deferral_of
from lmd_bench.methods.space import Space
from lmd_bench.search import jobs
from lmd_bench.search.jobs import Row
from lmd_bench.search.proposing.proposals import Params, Proposals, Told, size
from lmd_bench.search.proposing.pruning import NONE, PRUNERS, Thresholds
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


class Study:
    """The state of one study. A calibration study has to be opened with encoders first."""

    def __init__(self, spec: StudySpec, rows: Iterable[Row], again: Iterable[Row] = ()) -> None:
        """Take up the search rows that the store holds of it; those of `again` run once more."""
        self.spec = spec
        self.rows: list[Row] = sorted(rows, key=lambda row: row["trial_number"])
        self._again: list[Row] = sorted(again, key=lambda row: row["trial_number"])
        self.running: dict[str, Proposal] = {}  # key -> trial
        self.units = 1.0  # GPUs, or cores where there is none, that a trial holds
        self.clock = time.monotonic
        self._began: dict[str, float] = {}  # key -> when the running trial was asked for
        self._lost_hours = 0.0
        self.encoders: dict[int, RankedEncoder] = {}  # rank -> encoder that may be stood on
        self.n_stage1_trials: int | None = None  # that these were chosen among
        self._ranks: dict[str, int] = {}  # stage-1 config as text -> rank, of every encoder
        self._proposals: Proposals | None = None
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

        Under a budget of hours it is what they allow at the mean cost of its trials so far. They
        are a ceiling: a trial starts only where it is expected to end within them, beside those
        that run. The first one runs in any case.
        """
        if self.stopped:
            return len(self.rows) + len(self.running)
        space = self._proposals.space if self._proposals else self.spec.space
        n_trials = self._by_hours() if self.spec.n_trials is None else self.spec.n_trials
        n_configs = size(space)
        return n_trials if n_configs is None else min(n_trials, n_configs)

    @property
    def stopped(self) -> bool:
        """Say whether the latest trials all failed alike, so that more of them tell nothing."""
        latest = sorted(self._told_rows(), key=lambda row: row["trial_number"])[-MOST_ALIKE:]
        kinds = {jobs.kind_of_failure(row) for row in latest}
        return len(latest) == MOST_ALIKE and len(kinds) == 1 and None not in kinds

    @property
    def wants_trial(self) -> bool:
        """Say whether a further trial may start."""
        return self.ready and len(self.rows) + len(self.running) < self.budget

    @property
    def done(self) -> bool:
        """Say whether the budget is used and no trial runs."""
        return self.ready and not self.running and len(self.rows) >= self.budget

    @property
    def offered(self) -> list[Row] | None:
        """Return the trials whose encoders calibrations choose among; None until all have ended.

        These are all trials of a study that only lends its encoders. A method of one stage has the
        budget of two, and others would choose among more than they pay for.
        """
        rows = sorted(self.rows, key=lambda row: row["trial_number"])
        if self.spec.n_shares == 1:
            return rows if self.done else None
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
        deferral = deferral_of(study.method.representation, proposal.spec.config)
        first = first_judged(deferral, study.n_epochs)
        rows = [row for row in self._told_rows() if row["status"] in ("ok", "pruned")]
        curves = [jobs.stage1_curve(row) for row in rows]
        return PRUNERS[study.pruner](curves, study.n_epochs, first, proposal.trial_number)

    def ask(self) -> Proposal:
        """Return the next trial: the default config, the points of a person, then the sampler's."""
        assert self._proposals is not None, "a study is opened before it is asked"
        proposal = self._repeat(self._again.pop(0)) if self._again else self._new()
        self.running[proposal.spec.key] = proposal
        self._began[proposal.spec.key] = self.clock()
        return proposal

    def charge(self, seconds: float) -> None:
        """Charge the study with what a trial cost that left no row."""
        self._lost_hours += seconds * self.units / 3600

    def tell(self, row: Row) -> None:
        """Take the row of a trial that was asked for."""
        proposal = self.running.pop(row["key"])
        self._began.pop(row["key"], None)
        self.rows.append(row)
        self._learn(proposal, row)

    def ranked_encoders(self) -> list[RankedEncoder]:
        """Return the encoders of the successful trials on offer, best on val first."""
        return [
            RankedEncoder(rank, self._stage1(jobs.config_of(row)), bool(row["is_default"]))
            for rank, row in enumerate(jobs.ranked(self.offered or [], jobs.encoder_score), start=1)
        ]

    def rank_of(self, config: Config) -> int | None:
        """Return the rank of the encoder that a config stands on; None if it has none."""
        return self._ranks.get(canonical_json(dict(self._stage1(config))))

    def spec_of(self, config: Config) -> TrialSpec:
        """Return the search trial of a complete config."""
        return self.spec.trial(config)

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
            lambda drawn: self._spec(drawn).key not in seen,
            drawn=number > len(self.spec.points),
        )

    def _no_proposals(self, space: Space) -> Proposals:
        spec = self.spec
        n_startup = startup_of(spec.n_trials)
        n_objectives = len(spec.objectives)
        return Proposals(space, spec.sampler_seed, spec.sampler, n_objectives, n_startup)

    def _outcome(self, row: Row) -> Told:
        curve = jobs.stage1_curve(row) if row["status"] == "pruned" else ()
        return Told(jobs.values_of(row, self.spec.objectives), curve)

    def _by_hours(self) -> int:
        assert self.spec.hours is not None, "a study has trials or hours"
        n_started = len(self.rows) + len(self.running)
        spent = sum(jobs.hours_of(row) for row in self.rows) + self._lost_hours
        typical = jobs.typical_hours(self.rows, alone=self.spec.stands_on is None)
        # Until a trial that came to its end tells what one costs, one runs at a time. A trial that
        # failed at once says nothing of what the others will take.
        if typical is None:
            over = spent >= self.spec.hours and self.rows
            return n_started if over else len(self.rows) + max(1, len(self.running))
        # What runs is reserved at what a trial takes, or has taken already.
        now = self.clock()
        taken = [(now - self._began.get(key, now)) * self.units / 3600 for key in self.running]
        left = self.spec.hours - spent - sum(max(typical, hours) for hours in taken)
        # The small number keeps rounding from taking a trial away.
        return n_started + max(0, int(left / typical + 1e-9))

    def _first_share(self, rows: list[Row]) -> int | None:
        """Return how many trials one share of the budget pays for; None while that is not known."""
        if self.spec.n_trials is not None:
            n_first = self.spec.n_trials // self.spec.n_shares
            return n_first if len(rows) >= n_first else None
        assert self.spec.hours is not None, "a study has trials or hours"
        spent = 0.0
        for n, row in enumerate(rows):
            spent += jobs.hours_of(row)
            if spent > self.spec.hours / self.spec.n_shares:
                # The first one runs in any case.
                return max(1, n)
        return None

    def _told_rows(self) -> list[Row]:
        """Return the rows that a decision may go by."""
        return self.rows

    def _new(self) -> Proposal:
        # The least number that is free. A trial that was cut off leaves a gap among those that ran
        # beside it, and a number seeds its draw, so the gap is filled from the same seed.
        taken = {int(row["trial_number"]) for row in self.rows}
        taken |= {trial.trial_number for trial in self.running.values()}
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        return self._propose(number, {row["key"] for row in self.rows} | set(self.running))

    def _repeat(self, row: Row) -> Proposal:
        assert self._proposals is not None, "a study is opened before it is asked"
        number, config = int(row["trial_number"]), jobs.config_of(row)
        if self._in_space(config):
            self._proposals.use(number, self._params(config))
        rank = self.rank_of(config) if self.spec.stands_on else None
        return Proposal(self.spec_of(config), number, bool(row["is_default"]), rank)

    def _propose(self, number: int, seen: Set[str]) -> Proposal:
        assert self._proposals is not None
        proposal = self._default() if number == 0 else self._point(number, seen)
        if proposal is None:
            params = self._proposals.ask(number, lambda drawn: self._spec(drawn).key not in seen)
            proposal = Proposal(self._spec(params), number, False, _rank(params))
        return proposal

    def _learn(self, proposal: Proposal, row: Row) -> None:
        assert self._proposals is not None, "a study is opened before it is told"
        if self._in_space(proposal.spec.config):
            self._proposals.tell(proposal.trial_number, self._outcome(row))

    def _default(self) -> Proposal:
        assert self._proposals is not None
        config = self.spec.default
        rank = self.rank_of(config) if self.spec.stands_on else None
        if self._in_space(config):
            self._proposals.use(0, self._params(config))
        return Proposal(self.spec_of(config), 0, True, rank)

    def _point(self, number: int, seen: Set[str]) -> Proposal | None:
        assert self._proposals is not None
        if number > len(self.spec.points):
            return None
        config = self.spec.points[number - 1]
        params: Params = {key: config[key] for key in self.spec.space}
        # A point brings its own stage 1; where that is not on offer it stands on the best.
        if self.encoders:
            rank = self.rank_of(config)
            params[ENCODER_RANK] = rank if rank in self.encoders else min(self.encoders)
        spec = self._spec(params)
        if spec.key in seen:
            return None
        self._proposals.use(number, params)
        return Proposal(spec, number, False, _rank(params))

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

    def _spec(self, params: Params) -> TrialSpec:
        rank = _rank(params)
        stage1 = self.encoders[rank].config if rank else {}
        own = {key: value for key, value in params.items() if key != ENCODER_RANK}
        return self.spec_of({**self.spec.default, **stage1, **own})

    def _stage1(self, config: Config) -> Config:
        return jobs.stage1_part(config, self.spec.method.representation)


def _rank(params: Params) -> int | None:
    rank = params.get(ENCODER_RANK)
    return int(rank) if rank is not None else None
