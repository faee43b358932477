"""From YAML to cells: what is one cell, what it is called, and what is refused in one sentence."""

import pytest
import yaml

from lmd_bench.core.errors import UserError
from lmd_bench.experiments.ablation.design import build
from lmd_bench.experiments.ablation.document import parse_document, read_document
from lmd_bench.methods.settings import default_config

TOGGLES = """
base: lmd
toggles:
  batch: {without: {rrl.batch_loss_weight: 0}}
  gce: {title: GCE, without: {icc.estep_gce_grad: false}}
  fdc: {without: {icc.fdc_weight: 0}}
"""


def document(text, name="toy"):
    return parse_document(yaml.safe_load(text), name)


def names(design):
    return [cell.name for cell in design.cells]


def test_one_out_takes_away_one_at_a_time():
    design = build(document(TOGGLES))
    assert names(design) == ["lmd-all", "lmd-no-batch", "lmd-no-gce", "lmd-no-fdc"]
    assert design.reference == "lmd-all"
    changed = design.cells[2]
    default = default_config(design.cells[0].method)
    assert {k: v for k, v in changed.config.items() if default[k] != v} == {
        "icc.estep_gce_grad": False
    }


def test_one_in_adds_one_at_a_time_to_nothing():
    design = build(document(TOGGLES), mode="one_in")
    assert names(design) == [
        "lmd-none",
        "lmd-all",
        "lmd-only-batch",
        "lmd-only-gce",
        "lmd-only-fdc",
    ]
    assert design.reference == "lmd-none"


def test_a_full_factorial_names_a_cell_as_other_modes_do():
    design = build(document(TOGGLES), mode="full")
    assert len(design.cells) == len(design.points) == 8
    assert {"lmd-all", "lmd-no-batch", "lmd-only-batch", "lmd-none"} <= set(names(design))
    by_levels = {point.levels: point.cell for point in design.points}
    assert by_levels[True, True, False] == "lmd-no-fdc"
    assert by_levels[False, False, True] == "lmd-only-fdc"


def test_combinations_with_equal_settings_are_one_cell():
    text = TOGGLES + "  stage2: {without: {calibration: none}}\n"
    design = build(document(text), mode="full")
    assert len(design.points) == 16
    assert len(design.cells) == 8 + 2  # without stage 2, its switches do not matter
    off = {p.cell for p in design.points if not p.levels[3] and p.levels[0]}
    assert len(off) == 1


def test_a_cell_that_is_a_row_has_the_name_of_the_row():
    text = TOGGLES + "rows:\n  plain: {}\n  no_fdc: {icc.fdc_weight: 0.0}\n"
    assert names(build(document(text), mode="one_out")) == [
        *("plain", "lmd-no-batch", "lmd-no-gce", "no_fdc")
    ]


def test_without_tuning_nothing_is_searched_and_with_it_only_what_a_cell_changes_is_fixed():
    plain = build(document(TOGGLES)).cells[1]
    assert dict(plain.method.settings) == plain.config
    tuned = build(document(TOGGLES), retune=3).cells[1]
    assert dict(tuned.method.settings) == {"rrl.batch_loss_weight": 0.0}


def test_a_base_config_holds_in_all_cells_that_have_it():
    text = TOGGLES + "base_config: {training.lr: 1e-2, rrl.batch_loss_weight: 7}\n"
    design = build(document(text), fixed={"icc.em_epochs": 2})
    lrs = {cell.config["training.lr"] for cell in design.cells}
    assert lrs == {0.01}  # though PyYAML reads 1e-2 as text
    assert [c.config["rrl.batch_loss_weight"] for c in design.cells] == [7.0, 0.0, 7.0, 7.0]
    assert {cell.config["icc.em_epochs"] for cell in design.cells} == {2}


def test_a_tuned_ablation_starts_from_the_base_config_but_keeps_what_no_search_moves():
    text = TOGGLES + "base_config: {training.lr: 0.02, rrl.teacher_bn: ema}\n"
    design = build(document(text), retune=2)
    assert dict(design.cells[0].method.settings) == {"rrl.teacher_bn": "ema"}
    assert design.start["training.lr"] == 0.02


def test_switches_are_cells_of_their_own():
    text = "base: lmd\nswitches: {icc.fdc_form: [hinge], icc.estep_balanced: [true]}\n"
    assert names(build(document(text))) == [
        *("lmd-all", "lmd-icc.fdc_form=hinge", "lmd-icc.estep_balanced=true")
    ]


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("toggles: {}", {}, "names no base"),
        ("base: lmdd", {}, "Did you mean 'lmd'"),
        ("base: lmd\ntogles: {}", {}, "Unknown part of an ablation 'togles'"),
        ("base: lmd", {}, "has no toggles for mode one_out"),
        ("base: lmd", {"mode": "rows"}, "has no rows"),
        (TOGGLES, {"mode": "two_out"}, "Unknown mode 'two_out'"),
        ("base: lmd\nrows: {on: {}}", {}, "quote names that YAML takes for something else"),
        ("base: lmd\nrows: {a/b: {}}", {}, "has a name that cannot be used"),
        ("base: lmd\nrows: {a: {icc.q: 1}}", {}, "Unknown setting 'icc.q'"),
        ("base: lmd\nrows: {a: {rrl.ramp: soft}}", {}, "choose from hard, sigmoid"),
        ("base: lmd\nrows: {a: {calibration: non}}", {}, "Did you mean 'none'"),
        ("base: lmd\nrows: {a: {colour: red}}", {}, "neither a setting with its value"),
        ("base: lmd\nrows: {a: {}}\nreference: b", {}, "Unknown row to compare with 'b'"),
        ("base: lmd\ntoggles: {a: {icc.fdc_weight: 0}}", {}, "it takes `without:`"),
        ("base: lmd\ntoggles: {a: {title: b}}", {}, "what holds where it is off"),
        ("base: lmd\ntoggles: {a: {without: {icc.keep: best}}}", {}, "changes nothing"),
        ("base: lmd\nswitches: {icc.keep: last}", {}, "lists no values"),
        ("base: lmd\nretune: -1", {}, "retune: -1 is not possible"),
        ("base: lmd\nresolution: 2", {}, "give 3, 4, 5"),
        (TOGGLES, {"fixed": {"icc.fdc_weight": 1.0}}, "toggle 'fdc' changes it"),
        (TOGGLES, {"fixed": {"crt.lr": 1.0}}, "Unknown setting 'crt.lr'"),
        (TOGGLES + "base_config: {crt.lr: 1}", {}, "Unknown setting 'crt.lr'"),
        (
            TOGGLES + "  hinge: {without: {icc.fdc_weight: 1}}",
            {"mode": "full"},
            "both change icc.fdc_weight",
        ),
        ("base: lmd\nswitches: {icc.keep: [last]}", {"mode": "full"}, "has switches alone"),
    ],
)
def test_a_mistake_is_one_sentence(text, options, sentence):
    with pytest.raises(UserError) as error:
        build(document(text), **options)
    assert sentence in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_name_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("base: lmd\nrows:\n  a: {}\n  a: {calibration: none}\n")
    with pytest.raises(UserError, match="in line 4: 'a' comes twice"):
        read_document(str(path))


def test_a_file_that_is_not_there_is_one_sentence():
    with pytest.raises(UserError, match="Unknown ablation 'lmx'; choose from lmd"):
        read_document("lmx")
    with pytest.raises(UserError, match="cannot be read"):
        read_document("nowhere.yaml")


def test_the_shipped_rows_are_those_of_the_paper():
    design = build(read_document("lmd"))
    assert len(design.cells) == 14
    assert design.reference == "rrl_icc"
    stages = {(c.method.representation, c.method.calibration) for c in design.cells}
    assert len(stages) == 8
    assert len(build(read_document("lmd"), mode="full").cells) == 32
    assert len(build(read_document("lmd"), mode="fractional").cells) == 16


def test_every_switch_of_both_stages_is_in_the_shipped_file():
    from typing import Literal, get_origin, get_type_hints

    from lmd_bench.methods.calibration import icc
    from lmd_bench.methods.representation import rrl

    design = build(read_document("lmd_switches"))
    base = design.cells[0].config
    changed = {k for c in design.cells for k, v in c.config.items() if base[k] != v}
    for section, config in (("rrl", rrl.Config), ("icc", icc.Config)):
        for name, hint in get_type_hints(config).items():
            if hint is bool or get_origin(hint) is Literal:
                assert f"{section}.{name}" in changed
