"""Named methods and pairs of stages: which pairs make little sense is what plug-ins declare."""

import subprocess
import sys

import pytest
import torch

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.methods.catalogue import doubtful, named_methods, resolve_method
from lmd_bench.methods.settings import default_config
from lmd_bench.methods.space import search_space
from tests import tiny

REPRESENTATIONS = plugins.names("representation")


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_cosine_head_is_declared_where_the_lengths_of_class_weights_mean_nothing(name: str):
    plugin = plugins.plugin_class("representation", name)
    head = tiny.method(name, torch.tensor(tiny.COUNTS), n_steps=8).model.head
    weight = head.get_parameter("weight")
    features = torch.randn(5, weight.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = head(features)
        weight[0] *= 3.0
        after = head(features)
    assert torch.allclose(before, after, atol=1e-4) == plugin.cosine_head


@pytest.mark.parametrize(
    ("flag", "calibration"), [("prior_in_loss", "logit_adjustment"), ("cosine_head", "tau_norm")]
)
def test_a_pair_is_doubtful_by_what_its_stages_declare(
    flag: str, calibration: str, monkeypatch: pytest.MonkeyPatch
):
    assert doubtful("cross_entropy", calibration) == ""
    plugin = plugins.plugin_class("representation", "cross_entropy")
    monkeypatch.setattr(plugin, flag, True)
    assert doubtful("cross_entropy", calibration)
    assert doubtful("cross_entropy", "none") == ""


def test_the_doubtful_pairs_are_those_with_a_prior_twice_or_a_cosine_head():
    pairs = {
        (representation, calibration)
        for representation in REPRESENTATIONS
        for calibration in plugins.names("calibration")
        if doubtful(representation, calibration)
    }
    adjusted = ("balanced_softmax", "bcl", "logit_adjusted", "paco", "vs_loss")
    cosine = ("bcl", "gcl", "ldam_drw", "ride", "sade")
    twice = {(name, "logit_adjustment") for name in adjusted}
    lengths = {(name, stage2) for name in cosine for stage2 in ("tau_norm", "weight_balancing")}
    assert pairs >= twice | lengths


def test_the_catalogue_is_read_without_torch():
    code = "import sys, lmd_bench.methods.catalogue; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", named_methods())
def test_every_named_method_resolves_and_has_a_paper_and_complete_defaults(name: str):
    method = resolve_method(name)
    assert method.representation in plugins.names("representation")
    assert method.calibration in plugins.names("calibration")
    assert method.url.startswith("https://")
    config = default_config(method)
    assert set(search_space(method.sections)) <= set(config)
    assert all(config[key] == value for key, value in method.settings.items())


def test_any_pair_of_stages_is_a_method():
    pair = resolve_method("rrl+crt")
    assert (pair.representation, pair.calibration) == ("rrl", "crt")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lmdd", "Unknown method 'lmdd'; choose from .*Did you mean 'lmd'"),
        ("rrl+cart", "Unknown calibration 'cart'; choose from"),
        ("rll+crt", "Unknown representation 'rll'.*Did you mean 'rrl'"),
    ],
)
def test_an_unknown_method_is_refused_with_the_choices(name: str, sentence: str):
    with pytest.raises(UserError, match=sentence):
        resolve_method(name)
