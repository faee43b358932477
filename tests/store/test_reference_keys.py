"""The rows of the reference results still name the trials that made them, to the last digit."""

from pathlib import Path

import pytest

from lmd_bench.core import schema
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import open_store

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
FOLDERS = sorted(marker.parent for marker in REFERENCE.glob("*/store.json"))
PIPELINE_OF_THE_REFERENCE = 3  # its rows do not say it; they were made under this one


def test_there_are_references() -> None:
    assert {"ablation", "adapter", "frozen", "range"} <= {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_every_reference_row_gives_its_own_key_and_that_of_its_encoder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "PIPELINE_VERSION", PIPELINE_OF_THE_REFERENCE)
    rows = open_store(folder).rows()
    specs = [spec_of(row) for row in rows]

    assert rows
    assert [spec.key for spec in specs] == [row["key"] for row in rows]
    assert [spec.encoder_key for spec in specs] == [row["encoder_key"] for row in rows]
