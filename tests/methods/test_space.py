"""Search spaces: ranges of YAML as distributions."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from lmd_bench.core.errors import UserError
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import default_config
from lmd_bench.methods.space import _distribution, search_space


def test_fixed_keys_leave_the_space():
    space = search_space(["training"], fixed=["training.lr"])
    assert "training.lr" not in space
    assert "training.backbone" not in space
    assert isinstance(space["training.weight_decay"], FloatDistribution)
    assert isinstance(space["training.schedule"], CategoricalDistribution)


def test_scientific_notation_without_a_dot_is_named():
    with pytest.raises(UserError, match="write scientific notation with a dot"):
        _distribution("rrl.x", {"type": "float", "low": "1e-5", "high": 1.0})


def test_an_unknown_distribution_is_refused():
    with pytest.raises(UserError, match="choose from categorical, fixed, float, int"):
        _distribution("rrl.x", {"type": "normal"})


@pytest.mark.parametrize("name", ["lmd_paper", "lmd_official", "lmd_official_4gpu"])
def test_a_preset_leaves_nothing_to_tune(name: str):
    method = resolve_method(name)
    assert search_space(method.sections, fixed=method.settings) == {}


def test_adamw_has_defaults_and_ranges_of_its_own_and_the_defaults_lie_in_them():
    method = resolve_method("cross_entropy")
    fixed = {"training.optimiser": "adamw"}
    config, space = default_config(method, fixed), search_space(method.sections, fixed)
    assert (config["training.lr"], config["training.weight_decay"]) == (1e-3, 0.05)
    for key in ("training.lr", "training.weight_decay"):
        distribution = space[key]
        assert isinstance(distribution, FloatDistribution)
        assert distribution != search_space(method.sections)[key]
        assert distribution.low <= float(config[key]) <= distribution.high
