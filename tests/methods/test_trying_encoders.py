"""What is wrong with an encoder shows before a search starts, in one sentence."""

from dataclasses import replace
from urllib.error import URLError

import pytest
import torch

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Scalar, TaskSpec, TrialSpec
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.pipeline import try_encoders
from lmd_bench.methods.settings import default_config


def spec_of(method: str, image_size: int = 32, **settings: Scalar) -> TrialSpec:
    named = resolve_method(method)
    given = {f"training.{name}": value for name, value in settings.items()}
    return TrialSpec(
        task=TaskSpec("synthetic", image_size=image_size),
        task_fingerprint="",
        method=named.name,
        representation=named.representation,
        calibration=named.calibration,
        config=default_config(named, given),
        seed=0,
        n_epochs=1,
        versions=named.versions,
    )


def test_weights_that_cannot_be_downloaded_are_one_sentence(monkeypatch: pytest.MonkeyPatch):
    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", "/nowhere")
    with pytest.raises(UserError, match=r"mobilenet_v3_small cannot be downloaded .*put mobilenet"):
        try_encoders([spec_of("crt", backbone="mobilenet_v3_small", pretrained=True)])


def test_experts_and_branches_are_refused_where_an_encoder_cannot_be_split():
    for method in ("ride", "bbn", "sade"):
        try_encoders([spec_of(method)])
        with pytest.raises(UserError, match="cannot be split into stages"):
            try_encoders([spec_of(method, backbone="shufflenet_v2_x0_5")])
    try_encoders([spec_of("crt", backbone="shufflenet_v2_x0_5")])


def test_an_encoder_of_several_methods_is_loaded_once(monkeypatch: pytest.MonkeyPatch):
    import lmd_bench.methods.pipeline as pipeline

    loaded: list[str] = []
    load = pipeline.load_encoder

    def counted(training, *args, **kwargs):
        loaded.append(training.backbone)
        return load(training, *args, **kwargs)

    monkeypatch.setattr(pipeline, "load_encoder", counted)
    specs = [spec_of(name) for name in ("crt", "lws", "ride")]
    try_encoders([*specs, replace(specs[0], seed=5), spec_of("crt", backbone="mobilenet_v2")])
    assert loaded == ["resnet18", "mobilenet_v2"]


def test_features_that_a_person_brought_need_no_encoder():
    assert try_encoders([spec_of("crt", image_size=0)]) == []
