"""Explaining a row, and finding it by the beginning of its key."""

from pathlib import Path

import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.store.compaction import compact
from lmd_bench.store.lineage import describe, lineage
from lmd_bench.store.store import Store, open_store
from tests.leaderboard.conftest import _row as make

NAMES = ["row", "task", "study", "method", "source", "confirmed", "encoder", "seeds", "scores"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store of two search rows, one of them confirmed twice, and one of another study."""
    store = open_store(tmp_path, create=True)
    searched = [make("crt", number=n, val_balanced_accuracy=0.25 + n / 4) for n in (0, 1)]
    for row in searched:
        store.write({**row, "encoder_key": "e1"})
    for seed in (7, 8):
        row = make("crt", number=1, seed=seed, source=searched[1], test_balanced_accuracy=0.5)
        store.write({**row, "encoder_key": f"e{seed}", "encoder_rank": 2})
    store.write({**make("lws", val_balanced_accuracy=0.1), "encoder_key": "e1"})
    return store


def texts(store: Store, **wanted: object) -> dict[str, str]:
    (row,) = (r for r in store.rows() if all(r[k] == v for k, v in wanted.items()))
    return dict(describe(lineage(store, row)))


def test_a_confirmation_names_its_source_its_siblings_and_its_seed(store: Store) -> None:
    found = texts(store, phase="confirm", seed=7)
    source = next(r for r in store.rows() if r["trial_number"] == 1 and r["phase"] == "search")

    assert list(found)[:9] == NAMES
    assert found["source"] == f"{source['key']}, search, val balanced accuracy 50.0 %"
    assert found["confirmed"].count("confirm #1") == 2
    assert found["study"].endswith("trial 1 of 2 found here")
    assert found["encoder"].startswith("e7, rank 2 on val")
    assert found["encoder"].endswith("shared with: no other row")
    assert "training 7, split 0" in found["seeds"]
    assert "test: balanced accuracy 50.0 %" in found["scores"]
    assert "val: not measured" in found["scores"]


def test_a_search_row_names_who_shares_its_encoder_and_who_confirmed_it(store: Store) -> None:
    found = texts(store, method="crt", phase="search", trial_number=1)

    assert found["source"].startswith("none")
    assert "crt, search #0" in found["encoder"]
    assert "lws, search #0" in found["encoder"]
    assert found["confirmed"].count("\n") == 1
    assert texts(store, method="lws")["confirmed"] == "by no run yet"
    assert "test: not measured" in found["scores"]
    assert "test closed" in found["task"]


def test_a_source_in_another_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    store.write(make("crt", source=make("crt")))
    (row,) = store.rows()
    assert "not in this folder" in texts(store)["source"]
    assert row["source_key"] in texts(store)["source"]


def test_the_beginning_of_a_key_is_enough_if_it_is_unique(store: Store) -> None:
    for row in store.rows():
        assert store.find(row["key"]) == row
        assert store.find(row["key"][:12]) == row
    compact(store.root)
    for row in store.rows():
        assert store.find(row["key"][:12]) == row


def test_several_candidates_are_listed_and_none_says_where_keys_are(store: Store) -> None:
    with pytest.raises(UserError, match="5 keys begin with ''; give more of one: .*crt, search"):
        store.find("")
    with pytest.raises(UserError, match="No row in .* begins with 'zz'; the keys are in"):
        store.find("zz")


def test_the_command_prints_every_paragraph(store: Store, capsys) -> None:
    key = store.rows()[0]["key"]
    app(["explain", key[:10], "--results", str(store.root)], standalone_mode=False)
    printed = capsys.readouterr().out
    for name in NAMES:
        assert f"\n{name} " in "\n" + printed
    assert "command     not recorded" in printed


@pytest.mark.parametrize("text", ["not json", "3"])
def test_settings_that_are_no_table_are_named(store: Store, text: str) -> None:
    row = make("crt", number=2)
    store.write({**row, "config_json": text})

    with pytest.raises(UserError, match=f"config_json of row {row['key']} .* cannot be read"):
        texts(store, key=row["key"])
