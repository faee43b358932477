"""The encoder cache: which states of a training lie in it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lmd_bench.methods.models.model import predict
from lmd_bench.training import encoders
from tests import tiny


@pytest.mark.parametrize("best_epoch", [1, 2])
def test_the_own_head_has_a_file_exactly_where_its_best_epoch_is_not_the_encoders(
    best_epoch: int, tmp_path: Path
):
    model, fitted = tiny.trained(best_epoch)
    own_state = {name: value.clone() for name, value in model.state_dict().items()}

    encoders._store(tmp_path / "key", model, fitted, seconds=1.0)

    own_head = tmp_path / "key" / "own_head.safetensors"
    assert own_head.exists() == (best_epoch != fitted.encoder.epoch)
    own_file = own_head if own_head.exists() else tmp_path / "key" / "model.safetensors"
    stored = load_file(own_file)
    assert stored.keys() == own_state.keys()
    assert all(torch.equal(stored[name], value) for name, value in own_state.items())
    if own_head.exists():
        last = load_file(tmp_path / "key" / "model.safetensors")
        assert not torch.equal(last["head.weight"], own_state["head.weight"])


def test_each_state_has_features_of_its_own(tmp_path: Path):
    data = encoders.TrialData(*tiny.sets(), n_classes=len(tiny.COUNTS))
    models = {"model": tiny.model(), "own_head": tiny.model(seed=1)}
    for name in ("own_head", "model", "own_head"):
        file = tmp_path / f"{name}.safetensors"
        encoder = encoders.Encoder("key", models[name], (), 1, 0.0, 0.0, True, tmp_path, file)
        _, of_val = encoders.cached_features(encoder, data)
        assert torch.equal(of_val, predict(models[name], data.val)[0])
    # those of `model` have the name that earlier versions gave them
    stored = load_file(tmp_path / "features.safetensors")
    assert torch.equal(stored["val"], predict(models["model"], data.val)[0])
