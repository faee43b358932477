"""The pages: README is short, links lead somewhere, generated parts are current."""

import re
import runpy
from pathlib import Path

import pytest

from lmd_bench.core import plugins
from lmd_bench.methods import catalogue
from tests.docs.blocks import PAGES, README, ROOT

LINKING = sorted({*PAGES, *ROOT.glob("*/README.md"), ROOT / "CONTRIBUTING.md"})
NAMES = (
    "getting-started data data-reports encoders features methods own-method search cluster "
    "leaderboard "
    "statistics clinic sweeps-and-transfer ablations simulation report results-folder "
    "using-the-model python cli extending architecture"
)


def test_readme_is_read_in_a_few_minutes():
    text = README.read_text()
    assert len(text.split()) <= 1200
    assert len(text.splitlines()) <= 150


def test_readme_says_the_two_commands_and_that_there_is_no_licence_yet():
    text = README.read_text()
    assert "make demo" in text
    assert "make test" in text
    assert "No licence has been chosen yet" in text


def test_every_page_of_the_docs_is_there_and_readme_leads_to_it():
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages == set(NAMES.split())
    text = README.read_text()
    assert [name for name in sorted(pages) if f"docs/{name}.md" not in text] == []


@pytest.mark.parametrize("page", LINKING, ids=[str(page.relative_to(ROOT)) for page in LINKING])
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page: Path):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if heading:
            assert heading in _anchors(file.read_text()), f"{page.name}: {target}"


def test_generated_pages_are_those_that_make_docs_writes():
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    stale = [path.name for path, text in pages.items() if path.read_text() != text]
    assert stale == [], "run `make docs`"


def test_the_methods_page_counts_the_named_methods_and_names_every_stage():
    text = (ROOT / "docs" / "methods.md").read_text()
    assert f"{len(catalogue.named_methods())} methods have a name" in text
    for name in catalogue.named_methods():
        assert f"\n| `{name}` |" in text, name
    for kind, number in (("representation", 1), ("calibration", 2)):
        for name in plugins.names(kind):
            assert f"\n| {number} | `{name}` |" in text, name


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def test_each_test_that_the_page_on_statistics_names_is_there():
    named = re.findall(
        r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs/statistics.md").read_text()
    )
    assert len(named) >= 18
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"
