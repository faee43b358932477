"""Settings that came after the first keys: at their first value, keys and rows are as before."""

import json
from dataclasses import replace

from optuna.distributions import FloatDistribution

from lmd_bench.core.schema import (
    ADDED_SETTINGS,
    ENCODER_COLUMNS,
    Scalar,
    TaskSpec,
    TrialContext,
    TrialSpec,
    complete,
    keyed,
)
from lmd_bench.core.text import encoder_label
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import default_config, section_defaults
from lmd_bench.methods.space import search_space
from lmd_bench.store.rows import make_row, spec_of


def default_spec(method: str = "crt") -> TrialSpec:
    named = resolve_method(method)
    return TrialSpec(
        task=TaskSpec("synthetic"),
        task_fingerprint="0" * 20,
        method=named.name,
        representation=named.representation,
        calibration=named.calibration,
        config=default_config(named),
        seed=0,
        n_epochs=10,
        versions={"cross_entropy": 1, "crt": 2},
    )


def test_the_default_of_resnet18_has_the_key_that_it_had_before_other_encoders_came():
    spec = default_spec()
    assert spec.key == "9611d76718ba963f1f93"
    assert spec.encoder_key == "3febcc42ce5443c814b0"


def test_each_added_setting_is_a_default_and_changes_the_keys_at_any_other_value():
    spec = default_spec()
    words = {"last": "both", "full": "frozen", "": "sha256:0", "auto": "bfloat16"}
    other = {False: True, 1.0: 0.5, 4: 8, 8: 4, **words}
    for key, value in ADDED_SETTINGS.items():
        assert section_defaults(key.partition(".")[0])[key] == value
        changed = replace(spec, config={**spec.config, key: other[value]})
        assert changed.key != spec.key
        assert changed.encoder_key != spec.encoder_key


def test_a_config_without_added_settings_is_read_back_complete():
    config = default_spec().config
    assert not keyed(config).keys() & ADDED_SETTINGS.keys()
    assert complete(keyed(config)) == config
    assert complete({"crt.lr": 0.1}) == {"crt.lr": 0.1}


def test_a_row_says_what_its_method_stood_on_and_leaves_out_what_changes_nothing(tmp_path):
    spec = default_spec()
    measured = {"status": "error", "seconds": 1.0, "standalone_seconds": 1.0}
    times = {"started_at": "", "finished_at": ""}
    row = make_row(spec, TrialContext(tmp_path), **measured, **times)
    assert [row[name] for name in ENCODER_COLUMNS] == ["resnet18", "random", "last", "full"]
    assert encoder_label(row) == ""
    assert spec_of(row) == spec
    assert not json.loads(row["config_json"]).keys() & ADDED_SETTINGS.keys()
    other = default_config(resolve_method("crt"), {"training.backbone": "efficientnet_lite0"})
    row = make_row(replace(spec, config=other), TrialContext(tmp_path), **measured, **times)
    assert encoder_label(row) == "efficientnet_lite0 pretrained · full"


def test_weights_to_start_from_are_trained_gently_unless_the_method_has_its_own_recipe():
    def trained(method: str, **settings: Scalar) -> tuple[Scalar, ...]:
        given = {f"training.{name}": value for name, value in settings.items()}
        config = default_config(resolve_method(method), given)
        return tuple(config[f"training.{n}"] for n in ("optimiser", "lr", "head_lr_factor"))

    assert trained("crt") == ("sgd", 0.05, 1.0)
    assert trained("crt", pretrained=True) == ("adamw", 2e-4, 10.0)
    assert trained("crt", pretrained=True, batch_size=32) == ("adamw", 2e-4, 10.0)
    assert trained("crt", backbone="efficientnet_lite0", lr=0.1) == ("adamw", 0.1, 10.0)
    assert trained("crt", backbone="efficientnet_lite0", pretrained=False) == ("sgd", 0.05, 1.0)
    assert trained("crt", pretrained=True, optimiser="sgd") == ("sgd", 0.05, 1.0)
    assert trained("lmd_official") == ("sgd", 0.01, 1.0)


def test_the_lr_of_weights_to_start_from_is_searched_where_they_survive():
    crt = resolve_method("crt")
    for settings, high in (
        ({}, 0.3),
        ({"training.optimiser": "adamw"}, 1e-2),
        ({"training.optimiser": "adamw", "training.pretrained": True}, 1e-3),
        ({"training.optimiser": "sgd", "training.pretrained": True}, 0.3),
    ):
        lr = search_space(crt.sections, settings)["training.lr"]
        assert isinstance(lr, FloatDistribution)
        assert lr.high == high
