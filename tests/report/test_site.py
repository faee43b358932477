"""The public table: what is verified, what is refused, and that it opens from disk."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.experiments.verification import verify
from lmd_bench.report.site import INDEX, PACK, REPORT, publish
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.packs import pack
from lmd_bench.store.reproductions import (
    Record,
    fitting_records,
    logits_hash,
    read_records,
    row_hash,
    write_record,
)
from lmd_bench.store.row_files import write_table
from lmd_bench.store.store import open_store
from tests.experiments.submitted import HOST, make_store
from tests.report.browser import Browser, find_chromium

CHROMIUM = find_chromium()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("site") / "results")


@pytest.fixture(scope="module")
def site(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "site"
    publish([results], folder)
    return folder


def record_of(root: Path, method: str, verdict: str = "bit-equal") -> Record:
    """Return a record of a confirmed run of the selected configuration of a method."""
    store = open_store(root)
    rows = [row for row in store.rows() if row["method"] == method]
    best = max(
        (row for row in rows if row["phase"] == "search"),
        key=lambda row: row["val_balanced_accuracy"],
    )
    row = next(r for r in rows if r["phase"] == "confirm" and r["source_key"] == best["key"])
    logits = logits_hash(store.read_logits(row["key"]), row["task_fingerprint"])
    return Record(
        key=row["key"],
        verdict=verdict,
        row_sha256=row_hash(row),
        logits_sha256=logits,
        again_row_sha256=row_hash(row),
        again_logits_sha256=logits,
        outcome=(),
        provenance=(),
        device="cpu",
        package_version="0",
        git_commit=None,
        finished_at="2026-01-02T00:00:00+00:00",
    )


def marks(folder: Path) -> dict[str, str]:
    """Return the column `Run again` by method."""
    text = (folder / INDEX).read_text(encoding="utf-8")
    found = {}
    for method in ("crt", "cross_entropy"):
        line = text[text.index(f'<tr data-method="{method}">') :].split("</tr>")[0]
        words = (">not verified<", ">came out otherwise<", ">verified<")
        found[method] = next(word for word in words if word in line).strip("<>")
    return found


def test_the_site_holds_pages_rows_a_pack_that_verifies_and_no_path(site: Path) -> None:
    assert {path.name for path in site.iterdir()} == {
        *(INDEX, REPORT, PACK, "rows.parquet", "leaderboard.csv")
    }
    assert pq.read_table(site / "rows.parquet").num_rows == 14
    assert verify(site / PACK).faults == ()
    for page in (INDEX, REPORT):
        text = (site / page).read_text(encoding="utf-8")
        for word in (HOST, "/secret", "/tmp/", str(Path.home())):
            assert word not in text
        assert "<script src" not in text
        assert "http" not in text.replace("http-equiv", "").replace(
            "http://www.w3.org/2000/svg", ""
        )


def test_an_entry_is_verified_by_a_record_of_its_rows_alone(tmp_path: Path) -> None:
    root = make_store(tmp_path / "own")
    record = record_of(root, "crt")
    write_record(root, record)
    write_record(root, record_of(root, "cross_entropy", "different"))
    publish([root], tmp_path / "site")
    assert marks(tmp_path / "site") == {"crt": "verified", "cross_entropy": "came out otherwise"}
    shipped = json.loads((tmp_path / "site/reproductions" / f"{record.key}.json").read_text())
    assert shipped["row_sha256"] == record.row_sha256


def test_a_record_of_other_values_or_other_logits_speaks_of_no_row(tmp_path: Path) -> None:
    root = make_store(tmp_path / "own")
    record, store = record_of(root, "crt"), open_store(root)
    write_record(root, record)
    assert fitting_records(root, store) == [record]
    for altered in ({"row_sha256": "0" * 64}, {"logits_sha256": "0" * 64}):
        write_record(root, replace(record, **altered))
        assert fitting_records(root, store) == []
    (root / "reproductions" / "note.json").write_text("[]")
    assert len(read_records(root)) == 1


def test_who_submits_does_not_verify_himself_and_a_record_of_the_publisher_does(
    tmp_path: Path,
) -> None:
    root = make_store(tmp_path / "theirs")
    record = record_of(root, "crt")
    write_record(root, record)
    pack([root], tmp_path / "theirs.zip")
    verify(tmp_path / "theirs.zip", into=tmp_path / "unpacked")
    assert read_records(tmp_path / "unpacked") == []

    write_record(tmp_path / "unpacked", record)
    publish([tmp_path / "unpacked"], tmp_path / "site")
    assert marks(tmp_path / "site")["crt"] == "verified"


def test_results_that_do_not_fit_together_are_not_published(tmp_path: Path) -> None:
    root = make_store(tmp_path / "forged")
    store = open_store(root)
    row = next(row for row in store.rows() if row["phase"] == "confirm")
    forged = {**row, "test_balanced_accuracy": 0.99}
    write_table(pa.Table.from_pylist([forged], COLUMNS), store.trial_file(row["key"]))

    with pytest.raises(UserError, match="test_balanced_accuracy is 0.99, the logits give"):
        publish([root], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_folder_of_something_else_is_never_replaced(
    results: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="something else than an earlier site"):
        publish([results], tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()

    command = ["publish", str(results), "--to", str(tmp_path / "site")]
    app(command, standalone_mode=False)
    app(command, standalone_mode=False)
    assert "2 entries of 14 rows, 0 verified" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "site" / PACK) as archive:
        assert "manifest.json" in archive.namelist()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH")
    with Browser(CHROMIUM, tmp_path_factory.mktemp("profile") / "new") as browser:
        yield browser


@pytest.mark.parametrize("page", [INDEX, REPORT])
def test_its_pages_open_from_disk_ask_no_network_and_make_no_error(
    browser: Browser, site: Path, page: str
) -> None:
    browser.events.clear()
    browser.open(site / page)
    assert browser.evaluate("document.querySelectorAll('table').length") >= 2
    urls = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in urls if not url.startswith("data:")] == [(site / page).as_uri()]
    kinds = {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
    assert [event for event in browser.events if event.get("method") in kinds] == []
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.evaluate(width) == 0


def test_its_tables_sort_and_its_links_lead_to_files_beside_it(
    browser: Browser, site: Path
) -> None:
    browser.open(site / INDEX)
    first = "[...document.querySelectorAll('#leaderboard tbody tr')].map(r => r.cells[0].innerText)"
    assert set(browser.evaluate(first)) == {"crt", "cross_entropy"}
    head = "document.querySelector('#leaderboard thead th button')"
    browser.evaluate(f"{head}.click()")
    one = browser.evaluate(first)
    browser.evaluate(f"{head}.click()")
    assert browser.evaluate(first) == one[::-1]
    links = browser.evaluate(
        "[...document.querySelectorAll('td a, th a')].map(a => a.getAttribute('href'))"
    )
    assert {REPORT, PACK, "rows.parquet"} <= set(links)
    assert all((site / link).exists() for link in links)
