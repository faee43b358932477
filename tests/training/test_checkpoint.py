"""A training that is cut off goes on from its checkpoint to the same numbers, bit by bit."""

import json
from functools import partial
from itertools import count

import pytest
import torch

from lmd_bench.core import plugins
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.training import checkpoint as checkpoints
from lmd_bench.training import loop
from lmd_bench.training.checkpoint import Checkpoint
from lmd_bench.training.loop import train
from tests import tiny

N_EPOCHS = 3
METHODS = sorted(plugins.names("representation"))


pytestmark = pytest.mark.usefixtures("narrow_resnets")


class Cut(Exception):
    pass


@pytest.fixture(autouse=True)
def after_each_epoch(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)


def run(name, folder=None, cut_after=None, optimiser="sgd"):
    train_set, val_set = tiny.sets()
    counts = torch.bincount(train_set.labels)
    config = TrainingConfig(batch_size=13, lr=0.01, optimiser=optimiser, keep="probe")
    method = tiny.method(name, counts, n_steps=3 * N_EPOCHS)
    seen = []

    def on_epoch(progress):
        seen.append(progress)
        if len(seen) == cut_after:
            raise Cut

    checkpoint = folder and Checkpoint(folder, {"encoder": name})
    fitted = train(method, train_set, val_set, config, N_EPOCHS, 0, on_epoch, checkpoint)
    own = {key: value.clone() for key, value in method.model.state_dict().items()}
    fitted.encoder.restore(method.model)
    return own, method.model.state_dict(), fitted, seen


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_goes_on_to_the_same_bits(tmp_path, name):
    own, last, fitted, seen = run(name)
    folder = tmp_path / "checkpoint"
    with pytest.raises(Cut):
        run(name, folder, cut_after=2)
    assert json.loads((folder / "state.json").read_text())["epoch"] == 1
    torch.rand(7)  # what the process drew meanwhile
    again = run(name, folder)
    assert equal(again[0], own)
    assert equal(again[1], last)
    assert again[2].curve == fitted.curve
    assert (again[2].best_epoch, again[2].encoder.epoch) == (
        fitted.best_epoch,
        fitted.encoder.epoch,
    )
    assert again[3] == seen


def test_the_state_of_adamw_goes_on_too(tmp_path):
    whole = run("cross_entropy", optimiser="adamw")
    with pytest.raises(Cut):
        run("cross_entropy", tmp_path / "c", cut_after=2, optimiser="adamw")
    assert equal(run("cross_entropy", tmp_path / "c", optimiser="adamw")[0], whole[0])


def test_what_was_kept_and_what_dropout_draws_go_on(tmp_path, monkeypatch):
    falling = count(0.0, -1.0)
    monkeypatch.setattr(loop, "probe_score", lambda *_: next(falling))  # the first epoch is kept
    inner = tiny.method

    def with_dropout(*rest, **options):
        method = inner(*rest, **options)
        method.model.encoder.network.fc = torch.nn.Dropout(0.5)
        return method

    monkeypatch.setattr(tiny, "method", with_dropout)
    whole = run("cross_entropy")
    with pytest.raises(Cut):
        run("cross_entropy", tmp_path / "c", cut_after=2)
    torch.rand(7)  # what the process drew meanwhile
    again = run("cross_entropy", tmp_path / "c")
    assert equal(again[0], whole[0])
    assert equal(again[1], whole[1])
    assert whole[2].encoder.epoch == again[2].encoder.epoch == 1


def test_what_is_damaged_or_of_another_training_begins_anew(tmp_path):
    folder = tmp_path / "checkpoint"
    with pytest.raises(Cut):
        run("cross_entropy", folder, cut_after=3)
    load = partial(Checkpoint(folder, {"encoder": "focal"}).load, {}, torch.device("cpu"))
    assert load()[0] == 0
    tensors = folder / "state.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:100])
    assert Checkpoint(folder, {"encoder": "cross_entropy"}).load({}, torch.device("cpu"))[0] == 0


def test_a_short_training_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 600.0)
    with pytest.raises(Cut):
        run("cross_entropy", tmp_path / "checkpoint", cut_after=3)
    assert not (tmp_path / "checkpoint").exists()


def test_it_is_gone_once_it_is_dropped(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", {})
    checkpoint.save(1, {"model": tiny.model()})
    assert (tmp_path / "checkpoint").is_dir()
    checkpoint.drop()
    assert list(tmp_path.iterdir()) == []
