"""The report in headless Chromium: sorting, filtering, no network, no error, no sideways scroll."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lmd_bench.report.page import write_report
from tests.report.browser import Browser, find_chromium
from tests.report.conftest import SCRIPT

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
FIRST_COLUMN = (
    "[...document.querySelectorAll('#leaderboard tbody')[0].rows].map(r => r.cells[0].innerText)"
)
HEADER = "document.querySelectorAll('#leaderboard thead')[0].rows[0].cells[0]"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def report(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_report(results, file)
    return file


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM, tmp_path_factory.mktemp("profile") / "new") as browser:
        yield browser


def test_the_report_asks_no_network_and_makes_no_error(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.evaluate("document.querySelector('h1').innerText")
    urls = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in urls if not url.startswith("data:")] == [report.as_uri()]
    kinds = {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
    assert [event for event in browser.events if event.get("method") in kinds] == []


def test_a_table_is_sorted_by_click_and_by_keyboard(browser: Browser, report: Path) -> None:
    browser.open(report)
    assert browser.evaluate(FIRST_COLUMN) == ["crt", SCRIPT]
    browser.evaluate(f"{HEADER}.querySelector('button').click()")
    assert browser.evaluate(FIRST_COLUMN) == [SCRIPT, "crt"]
    assert browser.evaluate(f"{HEADER}.ariaSort") == "ascending"
    browser.evaluate(f"{HEADER}.querySelector('button').focus()")
    browser.press("Enter", 13)
    assert browser.evaluate(FIRST_COLUMN) == ["crt", SCRIPT]
    assert browser.evaluate(f"{HEADER}.ariaSort") == "descending"


def test_the_first_tab_reaches_the_skip_link(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.press("Tab", 9)
    assert browser.evaluate("document.activeElement.className") == "skip"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0


def test_filters_hide_methods_and_tasks_and_say_how_many(browser: Browser, report: Path) -> None:
    browser.open(report)
    type_crt = "const m = document.getElementById('method'); m.value = 'CR'; "
    browser.evaluate(f"{{ {type_crt} m.dispatchEvent(new Event('input', {{bubbles: true}})); }}")
    assert browser.evaluate(f"{FIRST_COLUMN}.length") == 2
    hidden = "[...document.querySelectorAll('#leaderboard tr')].filter(r => r.hidden).length"
    assert browser.evaluate("document.getElementById('shown').innerText") == "2 of 2 methods shown"
    browser.evaluate(
        "{ const m = document.getElementById('method'); m.value = 'crt'; "
        "m.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    assert browser.evaluate("document.getElementById('shown').innerText") == "1 of 2 methods shown"
    assert browser.evaluate(hidden) == 2  # of two tasks
    browser.evaluate(
        "{ const t = document.getElementById('task'); t.selectedIndex = 1; "
        "t.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    shown = "[...document.querySelectorAll('#leaderboard .listing')].filter(r => !r.hidden).length"
    assert browser.evaluate(shown) == 2  # one task, and what is missing


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_nothing_scrolls_sideways(browser: Browser, report: Path, width: int) -> None:
    browser.open(report, width)
    browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.evaluate(OVERFLOW) == 0


def test_the_report_can_be_read_without_script(browser: Browser, report: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report)
        root = browser.call("DOM.getDocument")["root"]["nodeId"]

        def count(selector: str) -> int:
            found = browser.call("DOM.querySelectorAll", nodeId=root, selector=selector)
            return len(found["nodeIds"])

        assert count("table") > 10
        assert count("th button") == 0
        assert count("form[hidden]") == 1
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


SMALLEST_TEXT = """
Math.min(...[...document.querySelectorAll('svg text')].map(t => {
  const drawn = t.ownerSVGElement.getBoundingClientRect().width;
  return parseFloat(getComputedStyle(t).fontSize) * drawn / t.ownerSVGElement.viewBox.baseVal.width;
}))
"""
FIRST_FOLD = "document.querySelector('details.fold').getBoundingClientRect().top / innerHeight"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
def test_the_first_screen_holds_the_summary_and_no_text_of_a_figure_is_small(
    browser: Browser, report: Path, width: int, height: int, scheme: str
) -> None:
    browser.scheme(scheme)
    browser.open(report, width, height)

    first = "document.querySelector('#summary .prose').getBoundingClientRect().bottom"
    assert browser.evaluate(first) < height
    assert browser.evaluate(FIRST_FOLD) < 6
    browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.evaluate("document.getElementById('task').selectedIndex = 0")
    browser.evaluate("document.querySelector('.filter').dispatchEvent(new Event('input'))")
    assert browser.evaluate(SMALLEST_TEXT) >= 11


def test_a_link_to_a_folded_section_opens_it(browser: Browser, report: Path) -> None:
    browser.open(report)
    fold = "document.querySelector('#trials details.fold').open"
    assert not browser.evaluate(fold)
    browser.evaluate("location.hash = '#trials'; 0")
    browser.evaluate("new Promise(done => setTimeout(done, 50)) && 0")
    assert browser.evaluate(f"new Promise(r => setTimeout(() => r({fold}), 50)) && {fold}")


def test_the_name_of_a_method_stays_in_sight(browser: Browser, report: Path) -> None:
    browser.open(report, 390)
    browser.evaluate("document.querySelector('#leaderboard .scroll').scrollLeft = 300")
    name = "document.querySelector('#leaderboard tbody th').getBoundingClientRect().left"
    assert browser.evaluate(name) >= 0


SAVED = """
new Promise(done => {
  const made = URL.createObjectURL;
  URL.createObjectURL = blob => { blob.text().then(done); return made.call(URL, blob); };
  HTMLAnchorElement.prototype.click = function () { document.title = this.download; };
  document.querySelector('.picture .save').click();
})
"""


def test_a_figure_is_saved_as_a_drawing_that_stands_alone(browser: Browser, report: Path) -> None:
    browser.open(report)
    drawings = browser.evaluate("document.querySelectorAll('.picture svg').length")
    assert browser.evaluate("document.querySelectorAll('.picture .save').length") == drawings > 0
    result = browser.call("Runtime.evaluate", expression=SAVED, awaitPromise=True)
    text = result["result"]["value"]

    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "--line" in (root[0].text or "")  # the style of the page
    assert browser.evaluate("document.title").endswith(".svg")
