import json
from dataclasses import replace

import numpy as np

from lmd_bench.report.blocks import Figure, Listing
from lmd_bench.report.context import Context
from lmd_bench.report.sections.over_range import section


def ranged(context: Context) -> Context:
    """Return the context with a study over a range of factors in place of its rows."""
    rng = np.random.default_rng(0)
    first = next(row for row in context.rows if row["phase"] == "search" and row["status"] == "ok")
    rows = []
    for number in range(40):
        factor, x = (10.0, 100.0)[number % 2], float(rng.random())
        level = number % 2
        value = 0.6 - 0.1 * level - (x - 0.2 - 0.6 * level) ** 2
        rows.append(
            {
                **first,
                "key": f"key{number}",
                "study": "range",
                "factor_range": "10:100",
                "trial_number": number,
                "is_default": number < 2,
                "imbalance_factor": factor,
                "val_balanced_accuracy": value,
                "config_json": json.dumps({"icc.beta": x, "icc.mode": "ab"[number % 3 == 0]}),
            }
        )
    for factor, source in zip((10.0, 100.0), rows[:2], strict=True):
        for seed in (1, 2):
            run = {**source, "key": f"run{factor}{seed}", "phase": "confirm", "seed": seed}
            score = 0.9 - factor / 500 + 0.01 * seed
            rows.append(run | {"source_key": source["key"], "test_balanced_accuracy": score})
    return replace(context, rows=rows)


def test_the_section_shows_levels_shares_and_the_settings_that_interact(context: Context) -> None:
    made = section(ranged(context))
    assert made is not None
    tables = [block.table for block in made.blocks if isinstance(block, Listing)]
    assert [head.text for head in tables[1].heads] == ["method", "IF 10", "IF 100"]
    assert tables[0].rows[0].cells[-1].text == "default chosen"
    (figure,) = (block for block in made.blocks if isinstance(block, Figure))
    assert "depend on the factor is shown for icc.beta (p 0.001, 40 trials)" in figure.caption
    assert [picture.caption.split(":")[0] for picture in figure.pictures] == [
        "icc.beta",
        "icc.mode",
    ]


def test_without_such_a_study_there_is_no_section(context: Context) -> None:
    assert section(context) is None
