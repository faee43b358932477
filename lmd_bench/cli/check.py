"""What `lmd-bench check` prints and writes."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lmd_bench.cli.progress import image_progress
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.core.tables import add_plain_row
from lmd_bench.core.text import factor_name, natural_order
from lmd_bench.data import datasets
from lmd_bench.data.checks.check import SplitReport, check, split_names
from lmd_bench.data.checks.class_sizes import FEWEST, POWER, smallest_difference
from lmd_bench.data.checks.intensities import DARK
from lmd_bench.data.checks.near import THRESHOLD
from lmd_bench.data.checks.readable import Unreadable
from lmd_bench.data.intensity import parse_levels
from lmd_bench.data.options import protocol_option
from lmd_bench.data.tasks.splits.written import write_split

_SHOWN = 5  # names of a finding; the rest is counted
_GOOD, _BAD = "[green]ok[/green]   ", "[red]found[/red]"


def run_check(spec: TaskSpec, source: DataSource, split_out: Path | None) -> bool:
    """Print all findings on a task's split, write the split if asked, and return if all is well.

    Raises:
        UserError: the data or the split cannot be had, or `split_out` cannot be written.
    """
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    with image_progress() as progress:
        report = check(spec, source, progress)
    if isinstance(report, tuple):
        _show_unreadable(console, report, split_out)
        return False
    if split_out is not None:  # first: a reader that closes the pipe does not stop it
        folder = split_out.expanduser().resolve()
        about = {"fingerprint": report.fingerprint, "task": asdict(spec)}
        write_split(folder, report.table, report.split, about)
        console.print(f"split written to {folder}", markup=False)
    _show(console, spec, report)
    return not report.anything_wrong


def _show_unreadable(
    console: Console, unreadable: tuple[Unreadable, ...], split_out: Path | None
) -> None:
    console.print(f"{_BAD} {_count(len(unreadable), 'image file')} cannot be read:")
    for image in unreadable:
        console.print(f"  {image.image_id}  {image.path}  {image.cause}", markup=False)
    unwritten = ", and no split was written" if split_out is not None else ""
    console.print(f"Nothing else was checked{unwritten}: mend or download these files first.")


def _show(console: Console, spec: TaskSpec, report: SplitReport) -> None:
    split = report.split
    factor = factor_name(spec.imbalance_factor, "factor ")
    protocol = protocol_option(spec.protocol)
    missing = f", {report.n_missing} listed ones missing" if report.n_missing else ""
    of_features = report.n_constant is not None
    size = "" if of_features else f" at {spec.image_size} px"
    read = "the file of features can be read" if of_features else "all files can be read"
    console.print(
        f"[bold]{spec.dataset}[/bold], {len(report.table)} images present{missing}; protocol "
        f"{protocol}, {factor}, split seed {spec.split_seed}: {len(split.train)} train, "
        f"{len(split.val)} val, {len(split.test)} test\nsplit hash {report.fingerprint}{size}\n"
        f"{_GOOD} {read}"
    )
    if report.n_constant:
        console.print(f"      {_count(report.n_constant, 'column')} of one value for all images")
    for note in report.notes:
        console.print(f"      {note}", markup=False)
    if not len(split.test):
        console.print(
            "      the split has no test images: nothing can be confirmed on it; --hold-out-test "
            "0.2 cuts a fifth of train, by group"
        )
    _show_intensities(console, report)
    _show_left_out(console, report)
    _show_crossing(console, spec.dataset, report)
    _show_identical(console, report)
    if not of_features:
        _show_near(console, report)
    _show_classes(console, report)


def _show_intensities(console: Console, report: SplitReport) -> None:
    levels, used = report.intensities, parse_levels(report.intensity)
    if levels is None:
        return
    if used is not None:
        console.print(f"      values {used.low:g} to {used.high:g} became black to white")
    if levels.constant:
        names = [report.table.image_ids[row] for row in levels.constant]
        console.print(_BAD, end=" ")
        console.print(
            f"{_count(len(names), 'image')} of one value throughout: {_few(names)}", markup=False
        )
    if levels.faint:
        darkest, brightest = levels.range
        console.print(
            f"{_BAD} all pixels of all images lie between {darkest} and {brightest} of 255; give "
            "--intensity auto if the files hold fewer bits than their type, else window:LOW,HIGH"
        )
    elif levels.n_dark:
        console.print(f"      {_count(levels.n_dark, 'image')} with no pixel above {DARK} of 255")
    if levels.inverted:
        names = [report.table.image_ids[row] for row in levels.inverted]
        console.print(_BAD, end=" ")
        console.print(
            f"{_count(len(names), 'grey image')} of {len(report.table)} look like the negative of "
            f"the others; invert them (MONOCHROME1?): {_few(names)}",
            markup=False,
        )
    if not (levels.constant or levels.faint or levels.inverted):
        console.print(f"{_GOOD} no image of one value, too faint, or inverted")


def _show_left_out(console: Console, report: SplitReport) -> None:
    names = split_names(report.split, len(report.table))
    used = {g for g, name in zip(report.table.groups, names, strict=True) if name}
    left_out = [g for g, name in zip(report.table.groups, names, strict=True) if not name]
    if left_out:
        beside = sum(group in used for group in left_out)
        why = f", {beside} of them as others of their group are in val or test" if beside else ""
        console.print(f"      {_count(len(left_out), 'image')} in no split{why}")


def _show_crossing(console: Console, dataset: str, report: SplitReport) -> None:
    group = datasets.load(dataset).card.group or "group"
    if not report.names_groups:
        # Not known to be well: images of one patient may lie in two splits.
        console.print(
            "      the data name no lesions or patients: each image is its own group, and whether "
            "one is in two splits is not known"
        )
        return
    if not report.crossing:
        console.print(f"{_GOOD} no {group} in two splits")
    for crossing in report.crossing:
        first, second = crossing.splits
        console.print(_BAD, end=" ")
        console.print(
            f"{_count(len(crossing.groups), group)} in both {first} and {second}, with "
            f"{crossing.n_images[0]} and {crossing.n_images[1]} images: {_few(crossing.groups)}",
            markup=False,
        )


def _show_identical(console: Console, report: SplitReport) -> None:
    kind = "pixels" if report.n_constant is None else "features"
    what = "byte-identical files" if report.by_file else f"images with identical {kind}"
    if not report.identical:
        console.print(f"{_GOOD} no {what}")
        return
    names = split_names(report.split, len(report.table))
    crossing = [rows for rows in report.identical if _crosses([names[row] for row in rows])]
    console.print(
        f"{_BAD} {_count(len(report.identical), 'set')} of {what}, {len(crossing)} across splits"
    )
    first = sorted(report.identical, key=lambda rows: rows not in crossing)
    for rows in first[:_SHOWN]:
        texts = [f"{_image(report, row)}, {names[row] or 'in no split'})" for row in rows]
        console.print(f"  {' = '.join(texts[:_SHOWN])}{_more(len(texts))}", markup=False)
    if len(first) > _SHOWN:
        console.print(f"  and {len(first) - _SHOWN} sets more")


def _show_near(console: Console, report: SplitReport) -> None:
    rule = f"at most {THRESHOLD} of 512 bits of the difference hash differ"
    if not report.near:
        console.print(f"{_GOOD} no near-identical images in two splits ({rule})")
        return
    console.print(
        f"{_BAD} {_count(len(report.near), 'group')} of near-identical images across splits "
        f"({rule})"
    )
    for group in report.near[:_SHOWN]:
        first, second = (report.table.image_ids[row] for row in group.pair)
        others = len(group.rows) - 2
        console.print(
            f"  {first} ({group.splits[0]}) ~ {second} ({group.splits[1]}), {group.distance} bits"
            + (f", and {_count(others, 'image')} more like them" if others else ""),
            markup=False,
        )
    if len(report.near) > _SHOWN:
        console.print(f"  and {_count(len(report.near) - _SHOWN, 'group')} more")


def _show_classes(console: Console, report: SplitReport) -> None:
    classes = [report.classes[i] for i in natural_order([of.name for of in report.classes])]
    small = [size.name for size in classes if size.too_small]
    if small:
        console.print(_BAD, end=" ")
        console.print(
            f"{_count(len(small), 'class', 'classes')} with fewer than {FEWEST} images in "
            f"val or test, too few to judge: {', '.join(small)}",
            markup=False,
        )
    else:
        console.print(f"{_GOOD} every class has at least {FEWEST} images in val and in test")
    console.print(
        f"      smallest difference of balanced accuracy that this test set shows at "
        f"{100 * POWER:.0f} % power: {_points(report.smallest_difference)} points (two-sided 5 %, "
        "recalls of one half, methods judged independently)"
    )
    table = Table("class", "train", "val", "test", "one test image", f"shown at {POWER:.0%}")
    for size in classes:
        alone = smallest_difference([size.n_test])
        counts = [f"{n:,}" for n in (size.n_train, size.n_val, size.n_test)]
        add_plain_row(table, size.name, *counts, _points(size.recall_step), _points(alone))
    console.print(table)
    console.print("the last two columns: points of this class's recall")


def _image(report: SplitReport, row: int) -> str:
    table = report.table
    return f"{table.image_ids[row]} ({table.class_names[int(table.labels[row])]}"


def _crosses(names: Sequence[str]) -> bool:
    return len({name for name in names if name}) > 1


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n} {one if n == 1 else many or f'{one}s'}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + _more(len(names))


def _more(n: int) -> str:
    return f" and {n - _SHOWN} more" if n > _SHOWN else ""


def _points(share: float) -> str:
    return f"{100 * share:.1f}" if math.isfinite(share) else "-"
