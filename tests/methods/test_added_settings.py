"""Settings that came after the first keys: at their first value, keys and rows are as before."""

from dataclasses import replace

from lmd_bench.core.schema import ADDED_SETTINGS, TaskSpec, TrialSpec, complete, keyed
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import default_config, section_defaults


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
    other = {"last": "both", "full": "frozen", "": "sha256:0", 1.0: 0.5}
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
