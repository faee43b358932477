"""What a frozen encoder leaves to be trained: defaults, space, and what the matrix shows."""

from typer.testing import CliRunner

from lmd_bench.cli import app
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import default_config
from lmd_bench.methods.space import search_space

FROZEN = {"training.tune": "frozen"}


def test_a_head_on_stored_features_has_one_recipe_whatever_the_encoder():
    method = resolve_method("cross_entropy")
    own = default_config(method, FROZEN)
    lite = default_config(method, {**FROZEN, "training.backbone": "efficientnet_lite0"})
    names = ("optimiser", "lr", "weight_decay", "batch_size", "head_lr_factor")
    assert [own[f"training.{name}"] for name in names] == [
        lite[f"training.{name}"] for name in names
    ]
    assert own["training.optimiser"] == "adamw"


def test_a_person_may_train_the_head_by_sgd():
    config = default_config(
        resolve_method("cross_entropy"), {**FROZEN, "training.optimiser": "sgd"}
    )
    assert config["training.optimiser"] == "sgd"
    assert config["training.lr"] == 0.05


def test_views_are_not_searched_where_all_are_equal():
    method = resolve_method("cross_entropy")
    for tune, searched in (("full", True), ("adapter", True), ("frozen", False)):
        fixed = {"training.tune": tune, "training.optimiser": "adamw"}
        assert ("training.augmentation" in search_space(method.sections, fixed)) == searched


def test_the_matrix_shows_what_cannot_act_on_a_frozen_encoder():
    shown = CliRunner().invoke(app, ["methods", "--matrix", "--tune", "frozen"]).stdout
    lines = {line.split()[0]: line for line in shown.splitlines() if line}
    assert "×" in lines["rrl"]
    assert lines["cross_entropy"].count("×") == 1  # icc
    assert "stage 2 moves the encoder, which is frozen" in shown
    assert "×" not in CliRunner().invoke(app, ["methods", "--matrix"]).stdout
