"""Learning a portfolio of stored rows: greedy, without the data set it is for, on val alone."""

import json
import random
from math import log10
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.experiments.portfolio.evidence import read_evidence
from lmd_bench.experiments.portfolio.judging import expected_best, judge
from lmd_bench.experiments.portfolio.learning import learn, write
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import default_config
from lmd_bench.search.proposing.portfolio import default_file, read_portfolio
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store

ROOT = Path(__file__).parents[2]


def _store(folder: Path, best: dict[str, float], n_trials: int = 16, **settings: object) -> Path:
    """Write searches whose val score falls with the distance of lr from the best, in decades."""
    store, method = open_store(folder, create=True), resolve_method("cross_entropy")
    for dataset, optimum in best.items():
        draw = random.Random(dataset)
        for number in range(n_trials):
            config = default_config(method, settings)
            if number:
                config |= {
                    "training.lr": 10 ** draw.uniform(-3, -0.53),
                    "training.weight_decay": 10 ** draw.uniform(-6, -2),
                    "training.batch_size": draw.choice([64, 128, 256]),
                    "training.schedule": draw.choice(["cosine", "constant"]),
                    "training.augmentation": draw.choice(["strong", "weak"]),
                }
            task = TaskSpec(dataset, imbalance_factor=20.0)
            names = ("cross_entropy", "cross_entropy", "none", config, 0, 2, "search", dataset)
            spec = TrialSpec(task, dataset.ljust(20, "0"), *names)
            score = 0.8 - 0.2 * abs(log10(config["training.lr"]) - log10(optimum))
            context = TrialContext(folder, trial_number=number, is_default=number == 0)
            measured = {"status": "ok", "seconds": 1.0, "standalone_seconds": 1.0}
            times = {"started_at": "2026-01-01", "finished_at": "2026-01-01"}
            store.write(make_row(spec, context, val_balanced_accuracy=score, **measured, **times))
    return folder


def test_a_portfolio_is_learned_written_and_read_back(tmp_path):
    folder = _store(tmp_path / "r", {"ham10000": 0.002, "chula_rbc12": 0.2, "pbc": 0.002})
    learned = learn([folder], size=2)
    (entry,) = learned.entries
    rates = sorted(config["training.lr"] for config in entry.configs)
    # One for each kind of task; the default, 0.05, is between them.
    assert 0.001 <= rates[0] < 0.005
    assert 0.1 < rates[1] <= 0.3
    assert set(entry.without) == {"ham10000", "chula_rbc12", "pbc"}
    assert all(config["training.lr"] < 0.01 for config in entry.without["chula_rbc12"][:1])
    write(learned, tmp_path / "p.yaml")
    assert read_portfolio(tmp_path / "p.yaml") == learned.entries
    text = (tmp_path / "p.yaml").read_text()
    write(learn([folder], size=2), tmp_path / "p.yaml")
    assert (tmp_path / "p.yaml").read_text() == text


def test_it_is_judged_on_the_data_set_left_out(tmp_path):
    alike = _store(tmp_path / "alike", {"ham10000": 0.002, "pbc": 0.002, "chula_rbc12": 0.002})
    frame = judge([alike]).frame.set_index("left_out")
    assert frame.loc["all", "studies"] == 3
    assert frame.loc["all", "share"] > 0.9 > frame.loc["all", "share_drawn"]
    apart = _store(tmp_path / "apart", {"ham10000": 0.002, "pbc": 0.3})
    shares = judge([apart]).frame.set_index("left_out")["share"]
    assert shares["all"] < 0.5
    assert "gain of all" in str(judge([apart]))


def test_the_best_of_some_drawn_at_random_is_known_exactly():
    assert expected_best(np.array([3.0, 1.0, 2.0]), 1) == pytest.approx(2.0)
    assert expected_best(np.array([3.0, 1.0, 2.0]), 2) == pytest.approx((3 + 3 + 2) / 3)
    assert expected_best(np.array([3.0, 1.0]), 4) == 3.0


def test_studies_that_say_nothing_of_the_plain_method_are_left_out_by_name(tmp_path):
    folder = _store(tmp_path / "few", {"pbc": 0.01}, n_trials=5)
    with pytest.raises(UserError, match="5 trials ended well, and 8 are needed: pbc"):
        learn([folder])
    _store(tmp_path / "mixed", {"pbc": 0.01}, **{"training.mixing": "mixup"})
    with pytest.raises(UserError, match="its method has settings of its own"):
        learn([tmp_path / "mixed"])
    evidence, _ = read_evidence([_store(tmp_path / "one", {"pbc": 0.01})])
    assert (len(evidence), len(evidence[0].tried)) == (1, 16)
    assert json.dumps(sorted(evidence[0].unit.space)) == json.dumps(
        sorted(f"training.{n}" for n in ("augmentation", "batch_size", "lr", "schedule"))
        + ["training.weight_decay"]
    )
    with pytest.raises(UserError, match="one data set alone"):
        learn([tmp_path / "one"])


@pytest.mark.slow
def test_the_shipped_one_is_what_the_reference_gives(tmp_path: Path):
    written = tmp_path / "portfolio.yaml"
    words = ["portfolio", "learn", str(ROOT / "results/reference/frozen"), "--to", str(written)]
    app(words, standalone_mode=False)
    assert written.read_text() == default_file().read_text()
