"""How long replays of stored trials take: python benchmarks/simulate.py [--trials 100].

A table of drawn trials in the space of rrl (11 settings), 20 epochs each; every sampler with every
pruner, 30 repeats each, half of the table and all of it. CPU seconds of one process on one core.
"""

import argparse
import time

import numpy as np

from lmd_bench.experiments.simulation.replay import Setting
from lmd_bench.experiments.simulation.table import StoredTrial, StudyTable
from lmd_bench.experiments.simulation.tuners import Replays, tuner_frame
from lmd_bench.methods.space import search_space
from lmd_bench.search.proposing.proposals import Proposals, Told
from lmd_bench.search.proposing.pruning import PRUNERS
from lmd_bench.search.proposing.samplers import SAMPLERS

N_EPOCHS = 20
CHEAP = ("random", "qmc", "tpe", "nsga2", "cmaes")


def drawn_table(n_trials: int) -> StudyTable:
    """Return a table whose scores follow from the learning rate and noise."""
    space = search_space(("training", "rrl"))
    proposals = Proposals(space, 0, "random")
    generator = np.random.default_rng(0)
    trials: list[StoredTrial] = []
    for number in range(n_trials):
        config = proposals.ask(number, lambda params: True)
        proposals.tell(number, Told(None))
        off = abs(np.log(float(config["training.lr"]) / 0.03))
        end = 0.6 - 0.1 * off + 0.02 * generator.standard_normal()
        curve = end * (1 - np.exp(-np.arange(1, N_EPOCHS + 1) / 5))
        trials.append(
            StoredTrial(
                key=str(number),
                number=number,
                status="ok",
                is_default=number == 0,
                config=config,
                encoder=str(number),
                encoder_rank=None,
                encoder_score=None,
                curve=tuple(float(value) for value in curve),
                value=float(max(curve)),
                seconds=600.0,
                alone_seconds=600.0,
                deferral=0.0,
                test=None,
                n_confirmed=0,
            )
        )
    return StudyTable(
        *("drawn", "drawn", "drawn", "rrl", "rrl", "none", N_EPOCHS, False, space, tuple(trials))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--gp", action="store_true", help="one gp replay of 20 trials, too")
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    if arguments.smallest:
        arguments.trials, arguments.repeats = 8, 1
    table = drawn_table(arguments.trials)
    tuner_frame([table], Replays(("qmc",), ("none",), Setting(n_trials=3), 1))  # loads SciPy
    print("| sampler | budget | replays | CPU s | ms a trial |")
    print("|---|---|---|---|---|")
    for n_trials in (arguments.trials // 2, arguments.trials):
        for sampler in CHEAP:
            _time(table, sampler, tuple(PRUNERS), n_trials, arguments.repeats)
    if arguments.gp and "gp" in SAMPLERS:
        tuner_frame([table], Replays(("gp",), ("none",), Setting(n_trials=12), 1))  # torch
        _time(table, "gp", ("none",), 20, 1)


def _time(
    table: StudyTable, sampler: str, pruners: tuple[str, ...], n_trials: int, repeats: int
) -> None:
    began = time.process_time()
    tuner_frame([table], Replays((sampler,), pruners, Setting(n_trials=n_trials), repeats))
    seconds = time.process_time() - began
    n = len(pruners) * repeats
    each = 1000 * seconds / (n * n_trials)
    print(f"| `{sampler}` | {n_trials} | {n} | {seconds:.1f} | {each:.1f} |", flush=True)


if __name__ == "__main__":
    main()
