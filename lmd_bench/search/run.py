"""Runs a search: Ray Tune drives the queue on a cluster until nothing is left."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from optuna.distributions import distribution_to_json

from lmd_bench.core.errors import DiskError, UserError
from lmd_bench.core.files import takes_files
from lmd_bench.core.option_files import options_text
from lmd_bench.core.text import task_slug
from lmd_bench.data.build import OnImages
from lmd_bench.search.beforehand import encoders_tried, fill_features, known_trials
from lmd_bench.search.display import Display, make_display
from lmd_bench.search.dropping import Dropper
from lmd_bench.search.plan import StudyPlan, plan
from lmd_bench.search.proposing.points import freeze_warm_start
from lmd_bench.search.queue import JobQueue
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.sources import Searched, Source, Store
from lmd_bench.search.tune.claims import claimed, claimed_far, others
from lmd_bench.search.tune.cluster import LOCAL, cluster, find_slots, prepare_environment, ray_nodes
from lmd_bench.search.tune.quiet import quiet
from lmd_bench.search.tune.slots import Slots, n_slots
from lmd_bench.search.watching.traces import PlannedStudy, SearchTrace, write_search
from lmd_bench.store.cleaning import leftovers
from lmd_bench.store.compaction import compact
from lmd_bench.store.mirror import Mirror, MirroredStore
from lmd_bench.store.store import open_store
from lmd_bench.tracking.beside import tracked

MOST_DEATHS = 3  # of Tune, in a row, without a finished trial in between
MOST_SINGLES = 256  # files of one row, above which a finished search gathers them
MOST_TRIALS = 100_000  # at once
MakeSource = Callable[[SearchRequest], Source]
_REPEATS = "The options of a search; `--config` with this file asks for the same."
INTERRUPTED = 130  # the exit code of a shell command that Ctrl-C ended


@dataclass(frozen=True)
class SearchOutcome:
    """How a search ended."""

    n_stored: int  # trials of this search in the store
    n_run: int  # of them, run now
    stopped: bool  # by Ctrl-C or SIGTERM
    problems: tuple[str, ...]  # studies without a result, or why the search broke off

    @property
    def exit_code(self) -> int:
        """Return 0, 1 where something asked for has no result, or 130 when stopped."""
        if self.stopped:
            return INTERRUPTED
        return 1 if self.problems else 0


def run_repeats(
    requests: Sequence[SearchRequest],
    display: Display | None = None,
    progress: OnImages | None = None,
) -> SearchOutcome:
    """Run searches one after another until one is stopped, and say what came of all.

    Args:
        requests: One or more.
        display: As for `run_search`.
        progress: As for `run_search`.
    """
    outcomes: list[SearchOutcome] = []
    for request in requests:
        outcomes.append(run_search(request, display, progress=progress))
        if outcomes[-1].stopped:
            break
    return SearchOutcome(
        sum(outcome.n_stored for outcome in outcomes),
        sum(outcome.n_run for outcome in outcomes),
        outcomes[-1].stopped,
        tuple(problem for outcome in outcomes for problem in outcome.problems),
    )


def run_search(
    request: SearchRequest,
    display: Display | None = None,
    source: MakeSource = Searched,
    progress: OnImages | None = None,
) -> SearchOutcome:
    """Run what the store lacks of a search, and say what came of it.

    Args:
        request: What is searched, where, and with what resources.
        display: Is told what happens; None: the terminal.
        source: Makes what is run, given the request with the resources of each trial.
        progress: Is told of features that are computed before the first trial starts.

    Raises:
        UserError: data, numbers or a results folder that cannot be used.
    """
    display = display or make_display(request.verbose)
    store = _store(request)
    log = request.results / "logs" / "ray.log"
    with quiet(log, request.verbose):
        slots = find_slots(request)
    # From here on the request says what each trial really gets, which goes into its row.
    sized = replace(request, cpus_per_trial=slots.cpus, gpus_per_trial=slots.gpus)
    if request.address != LOCAL and not slots.gpus and request.gpus_per_trial is None:
        display.note(
            "No GPU in this cluster, so trials run on CPUs; if nodes with GPUs are still to come, "
            "start again when they are there (--gpus-per-trial 0 says that CPUs are meant)."
        )
    work = source(sized)
    # Claimed before it is read: what another search stores after the look would be run again, and
    # a search that is refused must not write its plan over that of the one that runs.
    with ExitStack() as claim:
        try:
            claim.enter_context(claimed(request.results, work.ids()))
        except DiskError:
            # A finished search only reads, so a folder that nobody may write to will do.
            if not JobQueue(source(sized), store).finished:
                raise
        if isinstance(store, MirroredStore):
            claim.enter_context(claimed_far(store.mirror, work.ids()))
            # Rows of other machines are then not run again; and what an earlier run could not put
            # there is put there now.
            store.mirror.pull()
            store.mirror.push_all()
        queue = JobQueue(work, store)
        try:
            ray = None
            if not queue.finished:
                ray = claim.enter_context(_started(queue, slots, display, log, progress))
        except KeyboardInterrupt:
            outcome = SearchOutcome(queue.n_stored(), 0, True, ())
        else:
            track = tracked(request.results, request.track, queue.ids(), display.note)
            with track:
                outcome = _run_claimed(queue, slots, display, log, ray)
    _say(outcome, display)
    return outcome


def _run_claimed(
    queue: JobQueue, slots: Slots, display: Display, log: Path, ray: ExitStack | None
) -> SearchOutcome:
    results, before, began = queue.request.results, queue.n_stored(), time.time()
    asked = queue.request.asked
    options = options_text(asked, _REPEATS) if asked else ""

    def leave_trace() -> None:
        # For people alone: a disk that refuses it ends no search.
        with suppress(OSError):
            write_search(results, _trace(queue, slots, began), options)

    # What killed runs left is swept: it grows with every one of them.
    with suppress(OSError):
        leftovers(results).remove()
    dropper = Dropper(queue, lambda: not others(results, queue.ids()))
    if (folder := queue.request.warm_folder) is not None:
        with suppress(OSError):
            freeze_warm_start(folder, results, queue.request.warm_start)
    # What is planned lies in the folder before the first trial starts, for `lmd-bench status`.
    leave_trace()
    stopped, failure = False, ""
    display.open(queue, slots.n_slots)
    while queue.said:
        display.note(queue.said.pop(0))
    try:
        # A finished search only reads, so it needs no Ray.
        if not queue.finished:
            failure = _work_through(queue, slots, display, log, leave_trace, dropper, ray)
    except KeyboardInterrupt:
        stopped = True
    finally:
        display.close()
        with suppress(OSError, UserError):
            dropper()
            dropper.at_end()
            # Many small files are slow to read for all who come later.
            if queue.finished and len(os.listdir(results / "trials")) > MOST_SINGLES:
                compact(results)
        # Budgets and confirmations that were "at most" before are known by now.
        leave_trace()
    problems = (*queue.problems(), *([failure] if failure else []))
    return SearchOutcome(queue.n_stored(), queue.n_stored() - before, stopped, problems)


def _started(
    queue: JobQueue, slots: Slots, display: Display, log: Path, progress: OnImages | None
) -> ExitStack:
    """Start Ray and meanwhile try the encoders; return the cluster, which its `close` lets go.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM.
        UserError: Ray that does not start; an encoder or features that cannot be had.
    """
    request, trials = queue.request, known_trials(queue)
    with ThreadPoolExecutor(1) as thread, ExitStack() as ray:
        tried = thread.submit(encoders_tried, trials)
        # What is downloaded shows how far it is, so nothing may hide it meanwhile.
        if any(spec.config.get("training.pretrained") for spec in trials):
            wait([tried])
        with quiet(log, request.verbose):
            ray.enter_context(cluster(request.address, slots, request.verbose))
        for sentence in tried.result():
            display.note(sentence)
        with _stoppable():
            fill_features(queue, progress)
        return ray.pop_all()


def _store(request: SearchRequest) -> Store:
    store = open_store(request.results, create=True)
    if not request.mirror:
        return store
    mirror = Mirror(request.mirror, request.results)
    mirror.check()
    return MirroredStore(request.results, mirror)


def _trace(queue: JobQueue, slots: Slots, began: float) -> SearchTrace:
    studies = [_planned(queue, study) for study in plan(queue, lambda spec: False).studies]
    for id, jobs in queue.retrainings.items():
        if id not in queue.studies:
            spec = jobs[0].spec
            task = task_slug(spec.task, spec.task_fingerprint)
            studies.append(PlannedStudy(id, spec.method, task, trials=0, confirmations=len(jobs)))
    out = tuple(f"{place}: {cause}" for place, cause in queue.places.out.items())
    return SearchTrace(queue.request.command, began, slots.n_slots, tuple(studies), out)


def _planned(queue: JobQueue, study: StudyPlan) -> PlannedStudy:
    spec = queue.studies[study.id].spec
    return PlannedStudy(
        id=study.id,
        method=study.method,
        task=study.task,
        trials=study.budget,
        confirmations=study.confirmations,
        space={key: json.loads(distribution_to_json(d)) for key, d in spec.space.items()},
        points=(*spec.points, *spec.block),
    )


def _say(outcome: SearchOutcome, display: Display) -> None:
    for problem in outcome.problems:
        display.note(problem)
    if outcome.stopped:
        display.note(f"stopped: {outcome.n_stored} trials are stored; the same command goes on")
        return
    old = outcome.n_stored - outcome.n_run
    display.note(f"{outcome.n_stored} trials are stored: {outcome.n_run} run now, {old} before.")


def _work_through(
    queue: JobQueue,
    slots: Slots,
    display: Display,
    log: Path,
    leave_trace: Callable[[], None] = lambda: None,
    each_round: Callable[[], None] = lambda: None,
    started: ExitStack | None = None,
) -> str:
    """Run the queue to its end; return why that was not possible, or nothing.

    `started` holds a cluster that is closed after the first round.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM.
        UserError: a worker found data or request unusable.
    """
    prepare_environment()
    from ray.exceptions import RayError
    from ray.tune import TuneError

    from lmd_bench.search.tune.adapters import NodeLostError, QueueSearcher

    # Tune and its Ray may die with the machine's memory; queue and store outlive them, so a new
    # Tune goes on. Each round starts a cluster of its own, since the old one may be half dead.
    deaths, cause = 0, "it ended early"
    while not queue.finished:
        before = queue.n_stored()
        request = queue.request
        searcher = QueueSearcher(
            queue,
            display,
            slots.n_slots,
            changed=leave_trace,
            disk_works=partial(takes_files, request.results),
            each_round=each_round,
        )
        ray = started or cluster(request.address, slots, request.verbose)
        started = None
        with_node = False
        with quiet(log, request.verbose), ray, _stoppable():
            try:
                _fit(searcher, request, slots)
            # Ray's memory monitor kills a worker with an error that Tune does not survive.
            except (RayError, TuneError, NodeLostError) as error:
                cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                with_node = isinstance(error, NodeLostError)
            searcher.all_lost(f"Ray Tune died while it ran ({cause})", with_node=with_node)
            # A new cluster names its nodes anew.
            queue.places.forget()
        if searcher.refusal:
            raise UserError(searcher.refusal)
        # A death after a finished trial is a new one; deaths in a row are the same fault for ever.
        deaths = 0 if queue.n_stored() > before else deaths + 1
        if deaths == MOST_DEATHS:
            return (
                f"The search broke off: Ray Tune died {deaths} times without a finished trial "
                f"({cause}). See {log}; the same command goes on."
            )
    return ""


def _fit(searcher: Any, request: SearchRequest, slots: Slots) -> None:
    from ray import tune

    from lmd_bench.search.tune.adapters import Growth, Rounds, Witness
    from lmd_bench.search.tune.worker import run_job

    witness = Witness(searcher)
    rounds: list[Callable[[], None]] = [
        searcher.check_node_at_times,
        searcher.look_for_room,
        searcher.each_round,
    ]
    if request.address != LOCAL:
        most = request.max_concurrent or MOST_TRIALS
        rounds.append(Growth(searcher, lambda: min(most, n_slots(ray_nodes(), slots))))
    # Workers on other machines have to see Tune's folder, though nothing in it is kept.
    folder = None if request.address == LOCAL else request.results
    # `num_samples=-1`: the searcher says when it is over, for only the queue knows.
    with tempfile.TemporaryDirectory(
        prefix=".tune-", dir=folder, ignore_cleanup_errors=True
    ) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(run_job, {"cpu": slots.cpus, "gpu": slots.gpus}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=witness,
                num_samples=-1,
                # The searcher itself gives no more jobs than there are slots. Trials that hold a
                # broken slot come on top, and without a number Tune starts one after another.
                max_concurrent_trials=MOST_TRIALS,
                reuse_actors=True,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                verbose=1 if request.verbose else 0,
                callbacks=[Rounds(witness.release, witness.end_hung, *rounds)],
                failure_config=tune.FailureConfig(max_failures=0),  # the queue tries again itself
            ),
        )
        tuner.fit()


def _trial_name(trial: Any) -> str:
    return str(trial.trial_id)  # the default name holds every hyperparameter


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM end the search as Ctrl-C does. Ray sets handlers of its own when it starts."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
