"""The page: one file that asks no network, and says how each of its figures is made."""

import base64
import hashlib
import re
import shlex
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.studies.rules import RULES
from lmd_bench.report import page as page_module
from lmd_bench.report.context import Context, read_context
from lmd_bench.report.page import check_names, page, write_report
from lmd_bench.report.sections import NAMES

VOID = {"meta", "link", "input", "br"}
TEMPLATES = Path(page_module.__file__).parent / "templates"


@pytest.fixture(scope="session")
def html(context: Context) -> str:
    return page(context, NAMES)


class Outline(HTMLParser):
    """What a page holds: tags that do not match, headings, ids, links, commands."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.unmatched: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unmatched.append(tag)


def test_tags_match_and_ids_are_unique(html: str) -> None:
    outline = Outline(html)
    assert (outline.unmatched, outline.open) == ([], [])
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_what_comes_from_data_is_never_markup(html: str) -> None:
    assert html.count("<script>") == 1  # the page's own
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_policy_allows_its_own_style_and_script_alone(html: str) -> None:
    policy = re.search(r'Policy" content="([^"]*)"', html)
    assert policy is not None
    rules = policy[1].replace("&#39;", "'")
    assert rules.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        found = re.search(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert found is not None
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in rules


def test_nothing_is_fetched(html: str) -> None:
    for tag, attributes in Outline(html).tags:
        assert "src" not in attributes, tag
        assert "style" not in attributes, tag
        assert not str(attributes.get("href", "#")).startswith(("http", "//")), tag


def test_headings_go_down_one_level_at_a_time(html: str) -> None:
    levels = [int(tag[1]) for tag, _ in Outline(html).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_table_has_a_caption_and_heads_with_scope(html: str) -> None:
    tags = Outline(html).tags
    assert sum(tag == "table" for tag, _ in tags) == sum(tag == "caption" for tag, _ in tags) > 10
    assert {attributes.get("scope") for tag, attributes in tags if tag == "th"} == {"col", "row"}


def test_every_figure_names_a_command_and_every_command_runs(
    html: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r'<p class="command"><span>Again with</span> <code>(.*?)</code>', html)
    assert len(lines) >= html.count("<figure")
    for line in dict.fromkeys(line.replace("&#39;", "'") for line in lines):
        name, *words = shlex.split(line)
        assert name == "lmd-bench"
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (line, result.output, result.exception)


def test_the_oracle_is_watermarked_in_every_table_and_figure(results: Path) -> None:
    rule = RULES["oracle_test"]
    html = page(read_context(results, rule), NAMES)
    assert f'<p class="watermark" role="note"><strong>{rule.watermark}' in html
    n_shown = html.count("<caption>") + html.count("<figcaption>")
    assert html.count(rule.watermark) >= n_shown + 1
    assert "--rule oracle_test" in html


def test_only_the_sections_asked_for_are_written(results: Path, tmp_path: Path) -> None:
    write_report(results, tmp_path / "one.html", only=["failures"])
    html = (tmp_path / "one.html").read_text()
    assert [name for name in NAMES if f'<section id="{name}"' in html] == ["failures"]


def test_an_unknown_section_is_refused_with_the_choices() -> None:
    with pytest.raises(UserError, match="Unknown section 'budgets'; choose from ablations, "):
        check_names(["budgets"])


def test_a_file_that_cannot_be_written_leaves_nothing(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere/report\.html cannot be written"):
        write_report(results, tmp_path / "nowhere" / "report.html", only=["failures"])
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_sections_is_the_files_that_are_there() -> None:
    folder = TEMPLATES.parent / "sections"
    assert sorted(file.stem for file in folder.glob("[!_]*.py")) == sorted(NAMES)


def colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", css))


def contrast(one: str, other: str) -> float:
    """Return the contrast of WCAG 2.2: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_lines_have_the_contrast_of_wcag_aa(scheme: str) -> None:
    css = (TEMPLATES / "style.css").read_text()
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)")
    found = colours(light if scheme == "light" else dark)
    for back in ("surface", "panel"):
        for text in ("ink", "soft", "accent"):
            assert contrast(found[text], found[back]) >= 4.5, (text, back)
    assert contrast(found["warn"], found["surface"]) >= 4.5
    for step in range(11):
        assert contrast(found[f"h{step}"], found[f"t{step}"]) >= 4.5, step
    for graphic in ("frame", *(f"s{style}" for style in range(6))):
        assert contrast(found[graphic], found["surface"]) >= 3, graphic
