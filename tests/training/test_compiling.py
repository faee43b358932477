"""training.compile: the same training up to rounding, and a sentence where it cannot run.

The backend is torch's own that changes nothing, for speed; one slow test takes the real one.
"""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from lmd_bench.contract import tiny
from lmd_bench.core.schema import TrialContext, no_report
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.training import compiling, loop, trial
from lmd_bench.training.compiling import compiled_forward, put_in
from tests.training.test_trial import make_spec

pytestmark = pytest.mark.usefixtures("narrow_resnets", "probed_anew")
CPU = torch.device("cpu")
COMPILE = torch.compile


@pytest.fixture
def probed_anew():
    compiling.why_not.cache_clear()
    yield
    compiling.why_not.cache_clear()


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch):
    def refuse(function):
        def fail(*values):
            raise RuntimeError("Cannot find a working triton installation.")

        return fail

    monkeypatch.setattr(torch, "compile", refuse)


def test_the_encoder_runs_through_it_in_training_alone():
    model, used = tiny.model(), []
    plain, names = model.encoder.forward, list(model.state_dict())

    def other(images):
        used.append(model.training)
        return plain(images)

    with put_in(model.encoder, other):
        model(torch.zeros(2, 3, 16, 16))
        assert list(model.state_dict()) == names
    model(torch.zeros(2, 3, 16, 16))
    assert used == [True]
    with put_in(model.encoder, None):
        assert model.encoder.forward == plain


def test_where_it_cannot_run_the_trial_goes_on_and_a_sentence_says_why(refused, tmp_path: Path):
    spec = make_spec("cross_entropy", **{"training.compile": True})
    with pytest.warns(UserWarning, match="no effect here: RuntimeError: Cannot find a .* triton"):
        row = trial.execute_trial(spec, TrialContext(tmp_path, device="cpu"), no_report)
    assert (row["status"], row["compiled"]) == ("ok", False), row["cause"]
    with pytest.warns(UserWarning, match="no effect here"):
        assert compiled_forward(tiny.model().encoder, CPU) is None


def test_nothing_is_compiled_unless_it_is_asked_for(refused, tmp_path: Path):
    context = TrialContext(tmp_path, device="cpu")
    row = trial.execute_trial(make_spec("cross_entropy"), context, no_report)
    assert (row["status"], row["compiled"]) == ("ok", False)


def trained(encoder: nn.Module, width: int, **training) -> tuple[loop.Fitted, dict]:
    """Return what a training of three steps left.

    The encoder is none of the package's: in tests each function of the package checks its types,
    which no compiler can look through.
    """
    stage1 = tiny.method("cross_entropy", torch.tensor(tiny.COUNTS), n_steps=3)
    stage1.model.encoder, stage1.model.head = encoder, nn.Linear(width, 3)
    nn.init.zeros_(stage1.model.head.weight)
    nn.init.zeros_(stage1.model.head.bias)
    config = TrainingConfig(batch_size=12, lr=0.01, **training)
    fitted = loop.train(stage1, *tiny.sets(), config, 1, 0, no_report)
    return fitted, stage1.model.state_dict()


def same_training(encoder: nn.Module, width: int) -> None:
    state_before = {key: value.clone() for key, value in encoder.state_dict().items()}
    plain, expected = trained(encoder, width)
    expected = {key: value.clone() for key, value in expected.items()}
    encoder.load_state_dict(state_before)
    fitted, state = trained(encoder, width, compile=True)
    assert (plain.compiled, fitted.compiled) == (False, True)
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, atol=1e-3, rtol=1e-3)


def small() -> nn.Module:
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten()).to(memory_format=torch.channels_last)


def test_a_compiled_training_has_the_numbers_of_a_plain_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "compile", partial(COMPILE, backend="eager"))
    same_training(small(), 8)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")  # its own
def test_the_real_compiler_gives_the_same_numbers():
    same_training(small(), 8)
