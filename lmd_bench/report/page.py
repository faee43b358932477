"""The sections put together in one page, which carries its style and script and asks no network."""

import base64
import hashlib
import importlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lmd_bench.core.errors import unknown
from lmd_bench.core.files import asked_file
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY, rule_named
from lmd_bench.report.blocks import Cell, Section
from lmd_bench.report.context import Context, read_context
from lmd_bench.report.drawing.canvas import sample
from lmd_bench.report.sections import NAMES
from lmd_bench.store.provenance import package_version

# These answer who is better; what else there is opens by a click.
_UNFOLDED = ("summary", "leaderboard")


def check_names(only: Sequence[str]) -> tuple[str, ...]:
    """Return the sections that are asked for, in the report's order; all for none.

    Raises:
        UserError: no such section.
    """
    for name in only:
        if name not in NAMES:
            raise unknown("section", name, NAMES)
    return tuple(name for name in NAMES if not only or name in only)


def sections(context: Context, names: Sequence[str]) -> list[Section]:
    """Return the sections of these names that have something to show."""
    found: list[Section] = []
    for name in names:
        made = importlib.import_module(f"lmd_bench.report.sections.{name}").section(context)
        found += [replace(made, name=name)] if made is not None else []
    return found


def page(context: Context, names: Sequence[str], at: datetime | None = None) -> str:
    """Return the report as HTML.

    Args:
        context: What to report on.
        names: Of the sections, as `check_names` gives them.
        at: When it is made; None: now.
    """
    unfolded = _UNFOLDED if set(names) & set(_UNFOLDED) else names
    return render(context, sections(context, names), unfolded, at=at)


def render(
    context: Context,
    shown: Sequence[Section],
    unfolded: Sequence[str],
    title: str = "lmd-bench report",
    foot: str = "One file, no network: it can be kept, sent and printed.",
    at: datetime | None = None,
) -> str:
    """Return sections as one page of HTML.

    Args:
        context: What they are of.
        shown: The sections, with their names.
        unfolded: Names of those that need no click.
        title: Of the page.
        foot: What the page is, at its end.
        at: When it is made; None: now.
    """
    environment = Environment(
        loader=PackageLoader("lmd_bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_source(environment, name) for name in ("style.css", "script.js"))
    html = environment.get_template("page.html.jinja").render(
        context=context,
        sample=sample,
        kind=_kind,
        sections=shown,
        unfolded=unfolded,
        title=title,
        foot=foot,
        methods=sorted({study.label for found in context.tasks.values() for study in found}),
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        made=(at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        version=package_version(),
    )
    return _without_blank_lines(html)


def write_report(
    root: Path,
    out: Path,
    rule: str = VAL_BALANCED_ACCURACY.name,
    only: Sequence[str] = (),
) -> None:
    """Write the report of a results folder, whole or not at all.

    Args:
        root: Folder of the results.
        out: File to write.
        rule: Name of the selection rule.
        only: Names of sections; none stands for all.

    Raises:
        UserError: no such rule or section, no results that can be read, or the file cannot be
            written.
    """
    names = check_names(only)
    text = page(read_context(root, rule_named(rule)), names)
    with asked_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _kind(cell: Cell, numeric: bool) -> str:
    """Return the classes of a cell in the style sheet."""
    shade = "" if cell.shade is None else f"h{cell.shade}"
    return " ".join(name for name in ("n" if numeric else "", cell.mark, shade) if name)


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    # its hash is taken of the very text that the page will hold
    return _without_blank_lines(environment.loader.get_source(environment, name)[0])


def _without_blank_lines(text: str) -> str:
    return re.sub(r"\n\s*\n", "\n", text)


def _policy(style: str, script: str) -> str:
    """Return a content security policy: nothing but this very style and script may be used."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
