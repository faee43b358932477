"""Weights from a file: matched by name and shape, named by their hash, read as tensors alone."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lmd_bench.core.errors import UserError
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.encoder import encoder_facts, load_encoder
from lmd_bench.methods.models.encoders import efficientnet_lite0
from lmd_bench.methods.settings import default_config
from lmd_bench.methods.weights import file_of, pinned

BACKBONE = "mobilenet_v3_small"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """Return the tensors of an encoder drawn from another seed than the tests load from."""
    return load_encoder(TrainingConfig(backbone=BACKBONE), seed=7).network.state_dict()


def loaded(path: Path, backbone: str = BACKBONE):
    return load_encoder(TrainingConfig(backbone=backbone, weights=pinned(str(path))), seed=0)


def written(path: Path, tensors: object) -> Path:
    torch.save(tensors, path)
    return path


def test_a_file_of_either_kind_is_taken_whatever_stands_around_its_names(
    state: dict[str, torch.Tensor], tmp_path: Path
):
    around = {f"module.backbone.{name}": value for name, value in state.items()}
    around["module.fc.weight"] = torch.zeros(2, 2)
    save_file(state, tmp_path / "bare.safetensors")
    written(tmp_path / "deep.pth", {"state_dict": around, "epoch": 3})
    for name, ignored in (("bare.safetensors", ()), ("deep.pth", ("module.fc.weight",))):
        encoder = loaded(tmp_path / name)
        for key, value in encoder.network.state_dict().items():
            assert torch.equal(value, state[key])
        assert encoder.matched is not None
        assert encoder.matched.ignored == ignored
        assert f"all {len(state)} tensors of the encoder match" in encoder.matched.sentence()


def test_a_config_names_weights_by_their_hash_wherever_they_lay(
    state: dict[str, torch.Tensor], tmp_path: Path
):
    configs = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        save_file(state, tmp_path / folder / "w.safetensors")
        given = {"training.weights": str(tmp_path / folder / "w.safetensors")}
        configs.append(default_config(resolve_method("crt"), given))
    assert configs[0] == configs[1]
    name = str(configs[0]["training.weights"])
    assert name.startswith("sha256:")
    assert configs[0]["training.optimiser"] == "adamw"
    facts = encoder_facts(TrainingConfig(weights=name))
    assert (facts.weights, facts.seen) == (name, "unknown")
    assert default_config(resolve_method("crt"), {"training.weights": name}) == configs[0]


def test_the_file_of_lite0s_package_is_taken_under_its_own_names():
    package = efficientnet_lite0.package_file()
    assert package is not None
    ours = loaded(package, "efficientnet_lite0").network.state_dict()
    config = TrainingConfig(backbone="efficientnet_lite0", pretrained=True)
    for key, value in load_encoder(config, seed=0).network.state_dict().items():
        assert torch.equal(value, ours[key])


def test_weights_of_another_architecture_are_refused_with_what_differs(
    state: dict[str, torch.Tensor], tmp_path: Path
):
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="not those of encoder 'resnet18': 0 of its 100 .* lacks"):
        loaded(tmp_path / "w.safetensors", "resnet18")
    first = next(iter(state))
    save_file({**state, first: torch.zeros(1, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=rf"has {first} \[1, 2\] for"):
        loaded(tmp_path / "other.safetensors")


class RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "code.pth", "number.pth", "none.pth"])
def test_a_file_that_holds_no_tensors_is_one_sentence(
    name: str, state: dict[str, torch.Tensor], tmp_path: Path
):
    path = tmp_path / name
    if name == "w.safetensors":
        save_file(state, path)
    else:
        content = {"code.pth": {"w": RunsCode()}, "number.pth": 3, "none.pth": {"a": 1}}
        written(path, content.get(name, state))
    if path.stem == "w":
        path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError) as caught:
        loaded(path)
    assert str(path.name) in str(caught.value) or "weights" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_weights_is_refused_before_anything_is_read(tmp_path: Path):
    with pytest.raises(UserError, match="There is no file"):
        pinned(str(tmp_path / "w.pth"))
    with pytest.raises(UserError, match=r"ends in \.safetensors, \.pth, \.pt"):
        pinned("w.bin")


def test_weights_that_are_not_in_the_cache_or_changed_there_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="give their file once on this machine"):
        file_of("sha256:0123")
    name = pinned(str(written(tmp_path / "w.pth", {"a": torch.zeros(1)})))
    file_of(name).write_bytes(b"other")
    with pytest.raises(UserError, match="are not as they were"):
        file_of(name)
