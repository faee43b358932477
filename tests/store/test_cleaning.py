"""What may be removed of a results folder, and what never is."""

import os
import time
from pathlib import Path

import pytest

from lmd_bench.store.cleaning import AGE, CHECKPOINT_AGE, TUNE_AGE, leftovers, unused_encoders
from lmd_bench.store.store import Store, open_store
from tests.store.test_results import a_row


@pytest.fixture
def store(tmp_path: Path, monkeypatch) -> Store:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "elsewhere"))
    return open_store(tmp_path / "runs", create=True)


def there(root: Path, name: str, age: float = 0.0, text: str = "x" * 10) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    then = time.time() - age
    os.utime(path, (then, then))
    os.utime(path.parent, (then, then))
    return path


@pytest.mark.parametrize(
    ("name", "age"),
    [
        ("trials/.k.parquet.12.tmp", AGE),
        ("encoders/key/.model.safetensors.9.tmp", AGE),
        ("encoders/.key.checkpoint", CHECKPOINT_AGE),
        ("running/gone.json", TUNE_AGE),
        (".tune-abc/state", TUNE_AGE),
    ],
)
def test_what_a_killed_run_left_goes_once_it_is_old(store: Store, name: str, age: float):
    path = there(store.root, name, age - 60.0)
    assert leftovers(store.root).paths == ()
    there(store.root, name, age + 60.0)
    litter = leftovers(store.root)
    assert len(litter.paths) == 1
    assert litter.n_bytes == 10
    litter.remove()
    assert not path.exists()


def test_the_sign_of_life_of_a_trial_that_has_its_row_goes_at_once(store: Store):
    row = a_row()
    store.write(row)
    sign = there(store.root, f"running/{row['key']}.json")
    alive = there(store.root, "running/other.json")
    leftovers(store.root).remove()
    assert not sign.exists()
    assert alive.exists()


@pytest.fixture
def encoders(store: Store) -> set[str]:
    """Six trials of one stage-1 study, the first the default, the later the better."""
    for number in range(6):
        row = a_row(
            number,
            encoder_key=f"e{number}",
            val_balanced_accuracy=0.1 * number,
            probe_val_balanced_accuracy=None,
        )
        store.write({**row, "is_default": number == 0, "phase": "search", "encoder_rank": None})
        there(store.root, f"encoders/e{number}/model.safetensors")
    return {f"e{number}" for number in range(6)}


def names(paths) -> set[str]:
    return {path.name for path in paths}


def test_the_best_and_the_default_encoder_of_a_finished_study_stay(store: Store, encoders):
    assert names(unused_encoders(store, set()).paths) == {"e1", "e2"}


def test_the_best_of_each_factor_of_a_study_over_a_range_stay(store: Store, encoders):
    # Lower scores at a harder factor say nothing of the configuration.
    for row in store.rows():
        hard = row["encoder_key"] in ("e1", "e2")
        store.write({**row, "imbalance_factor": 200.0 if hard else 100.0})
    assert unused_encoders(store, set()).paths == ()


def test_all_encoders_of_a_study_that_is_not_finished_stay(store: Store, encoders):
    assert unused_encoders(store, {"toy/crt"}).paths == ()


def test_an_encoder_that_a_kept_model_stands_on_stays(store: Store, encoders):
    there(store.root, "models/k/model.json", text='{"encoder_key": "e1"}')
    assert names(unused_encoders(store, set()).paths) == {"e2"}


def test_an_encoder_that_a_calibration_stood_on_stays(store: Store, encoders):
    row = a_row(9, encoder_key="e2", val_balanced_accuracy=0.0, probe_val_balanced_accuracy=None)
    store.write({**row, "study": "other", "phase": "search", "encoder_rank": 4})
    assert names(unused_encoders(store, set()).paths) == {"e1"}


def test_rows_logits_and_models_are_never_removed(store: Store, encoders):
    there(store.root, "models/k/model.json", age=1e9, text="{}")
    before = sorted(path for path in store.root.rglob("*") if "encoders" not in path.parts)
    unused_encoders(store, set()).remove()
    leftovers(store.root).remove()
    assert sorted(p for p in store.root.rglob("*") if "encoders" not in p.parts) == before
