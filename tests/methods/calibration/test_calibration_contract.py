"""Every stage-2 method does what the contract asks; what the package asks of its own besides."""

import copy
import json
from functools import cache

import pytest
import torch

from lmd_bench.contract import calibration
from lmd_bench.core import plugins
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.described import build, describe
from lmd_bench.methods.models.model import predict
from lmd_bench.methods.settings import section_defaults, swept_settings
from tests import tiny

NAMES = plugins.names("calibration")
HEAD_ONLY = [name for name in NAMES if name != "icc"]
SIZE = 32  # pixels: a ViT cuts them into four squares
SHORT = {
    "icc": {"em_epochs": 2, "estep_steps": 3, "lbfgs_iterations": 3}
}  # training an encoder takes its time


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", calibration.TRAINED, ids=lambda check: check.__name__)
def test_every_stage_2_keeps_the_contract(check, name: str):
    check(name, SHORT.get(name, {}))


@pytest.mark.parametrize("backbone", ["timm:vit_tiny_patch16_224", "timm:convnext_atto"])
@pytest.mark.parametrize("name", NAMES)
def test_every_calibration_stands_on_a_vit_and_on_a_convnext(name: str, backbone: str):
    check_on(name, backbone)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_calibration_stands_on_the_vit_of_torchvision(name: str):
    check_on(name, "vit_b_16")


def check_on(name: str, backbone: str) -> None:
    """Check that a calibration on an encoder of signed features is finite and loads back."""
    stage1 = copy.deepcopy(on(backbone))
    plugin = plugins.plugin_class("calibration", name)
    config = plugins.load("calibration", name).Config(**SHORT.get(name, {}))
    result = plugin(config).fit(stage1)
    logits = predict(result.model, stage1.val_set)[1]
    assert torch.isfinite(logits).all()
    fresh = tiny.model(seed=9, training=TrainingConfig(backbone=backbone), image_size=SIZE)
    fresh.head = build(json.loads(json.dumps(describe(result.model.head))))
    fresh.load_state_dict(result.model.state_dict())
    assert torch.equal(logits, predict(fresh, stage1.val_set)[1])


@cache
def on(backbone: str) -> Stage1:
    """Return an untrained encoder, its features computed once for all calibrations."""
    stage1 = tiny.stage1(training=TrainingConfig(backbone=backbone), size=SIZE)
    assert stage1.features[0].min() < 0
    return stage1


@pytest.mark.parametrize("name", HEAD_ONLY)
def test_a_head_only_calibration_leaves_the_encoder_alone(name: str):
    before = tiny.stage1().model.encoder.state_dict()
    result = calibration.calibrated(name, tiny.stage1())
    after = result.model.encoder.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_2_counts_what_it_sweeps(name: str):
    calibration.counts_its_looks_at_val(name)


def test_what_a_calibration_sweeps_within_a_trial_is_counted():
    swept = {name: swept_settings(name) for name in NAMES}
    assert {name: n for name, n in swept.items() if n > 1} == {
        "knn": 7,
        "lda": 13,
        "logistic_regression": 6,
        "logit_adjustment": 61,
        "prs": 21,
        "tau_norm": 21,
    }


def test_the_count_follows_the_config_of_the_trial():
    config = section_defaults("tau_norm") | {"tau_norm.tau_steps": 5}
    assert swept_settings("tau_norm", config) == 5
