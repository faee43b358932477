"""Named methods, settings and distributions; each refusal with its sentence."""

import re
import tomllib
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.methods import catalogue
from lmd_bench.methods import space as s


@pytest.mark.parametrize("name", catalogue.named_methods())
def test_every_named_method_resolves_and_has_a_paper_and_complete_defaults(name: str):
    method = catalogue.resolve_method(name)
    assert method.representation in plugins.names("representation")
    assert method.calibration in plugins.names("calibration")
    assert method.url.startswith("https://")
    config = s.default_config(method)
    assert set(s.search_space(method.sections)) <= set(config)
    assert all(config[key] == value for key, value in method.settings.items())


def test_any_pair_of_stages_is_a_method():
    pair = catalogue.resolve_method("rrl+crt")
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
        catalogue.resolve_method(name)


def test_settings_are_parsed_and_typed_like_the_default():
    settings = s.parse_settings(["rrl.batch_loss_weight=5", "training.weight_decay=1e-5"])
    config = s.default_config(catalogue.resolve_method("lmd"), settings)
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
        s.default_config(catalogue.resolve_method("lmd"), s.parse_settings([text]))


def test_a_setting_must_belong_to_one_of_the_methods():
    methods = [catalogue.resolve_method("crt"), catalogue.resolve_method("lmd")]
    s.check_keys({"rrl.ramp": "hard"}, methods)
    with pytest.raises(UserError, match="Unknown setting 'vfc.eps'"):
        s.check_keys({"vfc.eps": 0.1}, methods)


def test_fixed_keys_leave_the_space():
    space = s.search_space(["training"], fixed=["training.lr"])
    assert "training.lr" not in space
    assert "training.backbone" not in space
    assert isinstance(space["training.weight_decay"], FloatDistribution)
    assert isinstance(space["training.schedule"], CategoricalDistribution)


def test_scientific_notation_without_a_dot_is_named():
    with pytest.raises(UserError, match="write scientific notation with a dot"):
        s._distribution("rrl.x", {"type": "float", "low": "1e-5", "high": 1.0})


def test_an_unknown_distribution_is_refused():
    with pytest.raises(UserError, match="choose from categorical, fixed, float, int"):
        s._distribution("rrl.x", {"type": "normal"})


@pytest.mark.parametrize("name", ["lmd_paper", "lmd_official", "lmd_official_4gpu"])
def test_a_preset_leaves_nothing_to_tune(name: str):
    method = catalogue.resolve_method(name)
    assert s.search_space(method.sections, fixed=method.settings) == {}


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
        s.default_config(catalogue.resolve_method(method), s.parse_settings([text]))


def test_the_lock_file_holds_every_dependency():
    root = Path(__file__).parents[2]
    if not (root / ".requirements.lock").exists():
        pytest.skip("the tests were installed without the project's lock file")
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    names = {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in wanted}
    locked = {line.split("==")[0] for line in (root / ".requirements.lock").read_text().split()}
    assert names <= locked


def test_the_default_lr_follows_the_batch_unless_it_is_given():
    method = catalogue.resolve_method("cross_entropy")
    assert s.default_config(method)["training.lr"] == 0.05
    assert s.default_config(method, {"training.batch_size": 32})["training.lr"] == 0.0125
    given = {"training.batch_size": 32, "training.lr": 0.05}
    assert s.default_config(method, given)["training.lr"] == 0.05


def test_adamw_has_defaults_and_ranges_of_its_own_and_the_defaults_lie_in_them():
    method = catalogue.resolve_method("cross_entropy")
    fixed = {"training.optimiser": "adamw"}
    config, space = s.default_config(method, fixed), s.search_space(method.sections, fixed)
    assert (config["training.lr"], config["training.weight_decay"]) == (1e-3, 0.05)
    for key in ("training.lr", "training.weight_decay"):
        distribution = space[key]
        assert isinstance(distribution, FloatDistribution)
        assert distribution != s.search_space(method.sections)[key]
        assert distribution.low <= float(config[key]) <= distribution.high
