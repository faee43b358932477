from typing import Any

import numpy as np

from lmd_bench.store.differences import (
    differences,
    logit_differences,
    provenance_differences,
    unmeasured,
)
from tests.store.test_results import POINT, a_row

ROW = a_row(curve=[POINT], val_nll=0.7, val_few_recall=0.25, val_recall=[0.5, 0.25])


def test_differences_see_the_last_bit_and_nan_is_itself() -> None:
    row = ROW
    assert differences(row, dict(row)) == []
    nan = {**row, "val_few_recall": float("nan")}
    assert differences(nan, {**row, "val_few_recall": float("nan")}) == []
    assert differences(row, {**row, "val_nll": row["val_nll"] * (1 + 2**-52)})
    assert differences(row, {**row, "val_few_recall": None})
    older = {**row, "val_few_recall": None}
    assert (differences(older, row), unmeasured(older, row)) == ([], ["val_few_recall"])
    assert unmeasured(row, older) == []
    assert differences(row, {**row, "curve": row["curve"][:-1]})
    assert not differences(row, {**row, "seconds": 99.0, "finished_at": "later"})


def logits() -> dict[str, Any]:
    return {
        split: (("a", "b"), np.array([0, 1]), np.array([[2.0, 0.0], [1.0, 3.0]], dtype=np.float32))
        for split in ("test", "val")
    }


def test_logits_differ_by_their_last_bit() -> None:
    there, here = logits(), logits()
    assert logit_differences(there, here) == []
    assert logit_differences({}, here) == []  # none were kept
    assert logit_differences(there, {"val": here["val"]}) == ["test logits: only there"]
    here["val"][2][0, 0] += 0.5
    (sentence,) = logit_differences(there, here)
    assert sentence == "val logits: they differ by at most 0.5"
    here["val"] = (here["val"][0][::-1], *here["val"][1:])
    assert "of other images" in logit_differences(there, here)[0]


def test_provenance_names_each_field() -> None:
    row = ROW
    other = {**row, "python_version": "3.99", "n_threads": 7, "library_versions_json": "{}"}
    found = provenance_differences(row, other)
    assert f"python_version: {row['python_version']} there, 3.99 here" in found
    assert any(text.startswith("torch: ") and text.endswith("not known here") for text in found)
    assert "n_threads: 1 there, 7 here" in found
    assert provenance_differences(row, row) == []
