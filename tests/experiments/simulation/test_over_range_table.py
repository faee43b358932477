import pytest

from lmd_bench.experiments.simulation.table import tables_of
from tests.report.conftest import make_trial

FACTORS = (10.0, 100.0)


def test_a_study_that_drew_factors_is_one_table_of_relative_scores():
    drawn = (10.0, 100.0, 100.0, 10.0)
    scores = (0.8, 0.5, 0.55, 0.75)
    rows = [make_trial("crt", n, v, f) for n, (f, v) in enumerate(zip(drawn, scores, strict=True))]
    rows[1] |= {"is_default": True, "config_json": rows[0]["config_json"]}
    curve = [{"stage": "representation", "epoch": 1, "loss": 1.0, "val_balanced_accuracy": 0.5}]
    rows[2] |= {"curve": curve}
    for factor, test in zip(FACTORS, (0.7, 0.5), strict=True):
        run = make_trial("crt", 1, 0.5, factor, rows[2])
        rows.append(run | {"test_balanced_accuracy": test, "is_default": False})
    rows = [row | {"study": "range", "factor_range": "10:100"} for row in rows]

    (table,) = tables_of(rows)

    # The default is one trial; others count by what they have more than it at their factor.
    assert [trial.number for trial in table.trials] == [0, 2, 3]
    assert [trial.value for trial in table.trials] == pytest.approx([0.0, 0.05, -0.05])
    assert table.trials[1].curve == pytest.approx((0.0,))
    assert (table.trials[1].test, table.trials[1].n_confirmed) == (pytest.approx(0.6), 2)
    assert not table.problem
