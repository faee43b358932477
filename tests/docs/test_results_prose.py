"""Each number of results/README.md stands in a table, and each table is what its command prints.

A table is a file of `results/reference/NAME/tables`: its first line is the command, the rest what
it printed. `LMD_BENCH_PRINT=1 pytest tests/docs/test_results_prose.py` runs the commands anew.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

from lmd_bench.cli import app
from tests.docs.blocks import ROOT

RESULTS = ROOT / "results"
TABLES = sorted(RESULTS.glob("reference/*/tables/*.txt"))
PROMPT = "$ lmd-bench "
LINK = re.compile(r"\[[^\]]+\]\((reference/[^)]+/tables/[^)]+\.txt)\)")
INTERVAL = re.compile(r"\[[-+]?\d+\.\d, [-+]?\d+\.\d\]")
WITH_INTERVAL = re.compile(rf"([-+]?\d+\.\d) ({INTERVAL.pattern})")
SD = re.compile(r" ± +\d+\.\d")
NUMBER = re.compile(r"[-+]?\d+\.\d+")
FIRST = re.compile(r"^(\S+) +(\d+\.\d) +(\d+ %)$", re.MULTILINE)
PLACE = re.compile(r"LMD (\d+\.\d), (\d+)(?:st|nd|rd|th) of (\d+) \((\d+ %)\)")
NO_DIFFERENCE = ("not told apart", "not shown", "nothing is shown")


def found() -> list[str]:
    """Return the list items and the rows with tables' links of the page's sections of findings."""
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    sections = [part for part in page.split("\n## ") if part.startswith("What was found")]
    items = [item for part in sections for item in re.split(r"\n- ", part)[1:]]
    lines = [line for part in sections for line in part.splitlines()]
    rows = [line for line in lines if line.startswith("|") and LINK.search(line)]
    return [" ".join(item.split("\n\n")[0].split()) for item in items] + rows


@pytest.mark.parametrize("table", TABLES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_table_is_what_its_command_prints(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(ROOT)
    command, _, text = table.read_text(encoding="utf-8").partition("\n")
    assert command.startswith(PROMPT)
    app(shlex.split(command.removeprefix(PROMPT)), standalone_mode=False)
    printed = capsys.readouterr().out
    if os.environ.get("LMD_BENCH_PRINT"):
        table.write_text(f"{command}\n{printed}", encoding="utf-8")
    else:
        assert printed == text


@pytest.mark.parametrize("sentence", found())
def test_each_number_of_a_finding_stands_in_its_table(sentence: str) -> None:
    links = LINK.findall(sentence)
    assert links, "a finding names its table"
    tables = "".join((RESULTS / link).read_text(encoding="utf-8") for link in links)
    said = LINK.sub("", sentence)
    for text in INTERVAL.findall(said):
        assert text in tables
    pairs = set(WITH_INTERVAL.findall(SD.sub("", tables)))
    assert set(WITH_INTERVAL.findall(said)) <= pairs
    numbers = set(NUMBER.findall(tables))
    assert set(NUMBER.findall(said)) <= numbers


@pytest.mark.parametrize("sentence", [one for one in found() if INTERVAL.search(one)])
def test_a_finding_whose_interval_holds_0_says_so(sentence: str) -> None:
    ends = [NUMBER.findall(text) for text in INTERVAL.findall(LINK.sub("", sentence))]
    # Signs mark differences; the interval of a score has none.
    open_ = [e for e in ends if e[0].startswith("-") and e[1].startswith("+")]
    if open_:
        assert any(words in sentence for words in NO_DIFFERENCE)


@pytest.mark.parametrize("row", [one for one in found() if PLACE.search(one)])
def test_a_place_of_lmd_is_that_of_its_table(row: str) -> None:
    data, factor = re.findall(r"\w+", row)[:2]
    texts = [(RESULTS / link).read_text(encoding="utf-8") for link in LINK.findall(row)]
    blocks = [block for text in texts for block in text.split("\n\n")]
    tasks = [
        FIRST.findall(block)
        for block in blocks
        if block.startswith(f"{data.lower()} ") and f" IF {factor} " in block
    ]
    for score, place, methods, share in PLACE.findall(row):
        assert any(
            len(task) == int(methods) and task[int(place) - 1] == ("lmd", score, share)
            for task in tasks
        )
