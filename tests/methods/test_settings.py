"""Settings: typed like their defaults, and refused with what is allowed."""

import re

import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import check_keys, default_config, parse_settings


def test_settings_are_parsed_and_typed_like_the_default():
    settings = parse_settings(["rrl.batch_loss_weight=5", "training.weight_decay=1e-5"])
    config = default_config(resolve_method("lmd"), settings)
    assert config["rrl.batch_loss_weight"] == 5.0
    assert isinstance(config["rrl.batch_loss_weight"], float)
    assert config["training.weight_decay"] == 1e-5


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rrl.batch_loss_weight", "not of the form section.key=value"),
        ("lr=0.1", "not of the form section.key=value"),
        ("training.lrr=0.1", "Unknown setting 'training.lrr'.*Did you mean 'training.lr'"),
        ("training.lr=fast", "takes one float"),
        ("training.batch_size=12.5", "takes one int"),
        ("training.pretrained=1", "takes one bool"),
        ("rrl.ramp=linear", "choose from hard, sigmoid"),
        ("rrl.ema_decay=1.5", r"must lie in \[0, 1\)"),
    ],
)
def test_a_bad_setting_is_refused_with_what_is_allowed(text: str, sentence: str):
    with pytest.raises(UserError, match=sentence):
        default_config(resolve_method("lmd"), parse_settings([text]))


def test_a_setting_must_belong_to_one_of_the_methods():
    methods = [resolve_method("crt"), resolve_method("lmd")]
    check_keys({"rrl.ramp": "hard"}, methods)
    with pytest.raises(UserError, match="Unknown setting 'vfc.eps'"):
        check_keys({"vfc.eps": 0.1}, methods)


@pytest.mark.parametrize(
    ("method", "text", "sentence"),
    [
        ("crt", "training.lr=[1", "cannot be read"),
        ("crt", "training.lr=.nan", "finite number"),
        ("crt", "training.lr=-1", "lr=-1.0 must be above 0"),
        ("crt", "training.batch_size=0", "batch_size=0 must be at least 2"),
        ("crt", "crt.n_epochs=0", "n_epochs=0 must be at least 1"),
        ("vfc", "vfc.n_rounds=0", "n_rounds=0 must be at least 1"),
        ("lmd", "icc.batch_size=0", "batch_size=0 must be at least 1"),
    ],
)
def test_a_value_that_no_training_can_run_with_is_refused(method: str, text: str, sentence: str):
    with pytest.raises(UserError, match=re.escape(sentence)):
        default_config(resolve_method(method), parse_settings([text]))


def test_the_default_lr_follows_the_batch_unless_it_is_given():
    method = resolve_method("cross_entropy")
    assert default_config(method)["training.lr"] == 0.05
    assert default_config(method, {"training.batch_size": 32})["training.lr"] == 0.0125
    given = {"training.batch_size": 32, "training.lr": 0.05}
    assert default_config(method, given)["training.lr"] == 0.05
