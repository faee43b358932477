"""An encoder from a person's own file: named by the file, and its source is part of the key."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lmd_bench.core import outside
from lmd_bench.methods.backbones import encoder_version
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.encoder import encoder_facts, load_encoder
from tests.docs.blocks import ALL
from tests.methods.test_added_settings import default_spec

# That of the page.
(SOURCE,) = (b.text for b in ALL if b.page.name == "encoders.md" and b.language == "python")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(outside.PLUGINS, "")
    (tmp_path / "own_encoder.py").write_text(SOURCE)
    outside.add([tmp_path / "own_encoder.py"])
    assert str(tmp_path) in os.environ[outside.PLUGINS]
    return "own_encoder"


def test_an_encoder_of_ones_own_is_taken_by_the_name_of_its_file(own: str):
    training = TrainingConfig(backbone=own)
    facts = encoder_facts(training)
    assert (facts.source, facts.width, facts.seen, facts.signed) == (own, 16, "no", True)
    assert load_encoder(training, seed=0)(torch.zeros(2, 3, 32, 32)).shape == (2, 16)


def test_its_source_is_part_of_the_key_of_the_trial_and_of_the_encoder(own: str):
    version = encoder_version({"training.backbone": own})
    assert str(version[own]).startswith("1+")
    spec = default_spec()
    assert encoder_version(spec.config) == {}
    keys = set()
    for of in (version, {own: "1+other"}, {}):
        changed = replace(spec, versions={**spec.versions, **of})
        keys |= {changed.key, changed.encoder_key}
    assert len(keys) == 6
