"""What has to hold of every stage 2, on a long tail with a class of three images."""

import json
from collections.abc import Mapping

import torch
from safetensors.torch import load, save
from torch import nn

from lmd_bench.contract import tiny
from lmd_bench.contract.expect import expect
from lmd_bench.core import plugins
from lmd_bench.core.schema import Scalar
from lmd_bench.methods.calibration._base import Calibrated, Stage1
from lmd_bench.methods.models.described import build, describe
from lmd_bench.methods.models.heads import CosineHead
from lmd_bench.methods.models.model import predict
from lmd_bench.methods.settings import swept_settings

NO_SETTINGS: Mapping[str, Scalar] = {}


def calibrated(
    name: str, given: Stage1, settings: Mapping[str, Scalar] = NO_SETTINGS
) -> Calibrated:
    """Return what a calibration, at its defaults but for `settings`, makes of a stage 1."""
    config = plugins.load("calibration", name).Config(**settings)
    return plugins.plugin_class("calibration", name)(config).fit(given)


def gives_finite_logits(name: str, settings: Mapping[str, Scalar] = NO_SETTINGS) -> None:
    """The final classifier gives finite logits for each class, also on an untrained encoder."""
    given = tiny.stage1()
    logits = predict(calibrated(name, given, settings).model, given.val_set)[1]
    shape = (len(given.val_set), len(tiny.COUNTS))
    expect(logits.shape == shape, f"logits of shape {tuple(logits.shape)}, not {shape}")
    expect(torch.isfinite(logits).all(), "logits that are not finite")


def repeats(name: str, settings: Mapping[str, Scalar] = NO_SETTINGS) -> None:
    """The same config and seed give the same logits to the last bit."""
    both = [
        predict(calibrated(name, given, settings).model, given.val_set)[1]
        for given in (tiny.stage1(), tiny.stage1())
    ]
    expect(
        torch.equal(*both),
        "two runs with one seed differ; draw from a generator of stage1.seed, not from torch's own",
    )


def loads_back(name: str, settings: Mapping[str, Scalar] = NO_SETTINGS) -> None:
    """The final classifier is made again of JSON and tensors, as a kept model is read."""
    given = tiny.stage1()
    model = calibrated(name, given, settings).model
    logits = predict(model, given.val_set)[1]
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    homes = [plugins.load("calibration", name)]
    fresh = tiny.model()
    fresh.head = build(json.loads(json.dumps(describe(model.head, homes))), homes)
    fresh.load_state_dict(load(save(state)))
    same = torch.equal(logits, predict(fresh, given.val_set)[1])
    expect(same, "logits differ after loading; keep all that they need in parameters or buffers")


def stands_on_a_cosine_head(name: str, settings: Mapping[str, Scalar] = NO_SETTINGS) -> None:
    """It also takes a stage 1 whose head is cosine, and gives finite logits."""
    given = tiny.stage1()
    head = given.model.head
    assert isinstance(head, nn.Linear)
    given.model.head = CosineHead(head.in_features, head.out_features, 30.0)
    logits = predict(calibrated(name, given, settings).model, given.val_set)[1]
    expect(torch.isfinite(logits).all(), "logits that are not finite")


def counts_its_looks_at_val(name: str) -> None:
    """It says how many settings it judges on val within a trial."""
    expect(swept_settings(name) >= 1, "n_swept has to be 1 or more")


TRAINED = (gives_finite_logits, repeats, loads_back, stands_on_a_cosine_head)
CHECKS = (counts_its_looks_at_val, *TRAINED)
