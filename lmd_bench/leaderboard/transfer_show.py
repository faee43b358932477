"""What `lmd-bench transfer` prints: matrices for a person, one line per cell for a program."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import bounds, json_value, percent, text_table
from lmd_bench.leaderboard.transfer import Cell, Loss, Matrix, Tuned, losses
from lmd_bench.stats.spread import spread
from lmd_bench.store.store import Store

FORMATS = ("table", "csv", "json")
_PARTS = ("dataset", "protocol", "imbalance_factor", "n_max", "split_seed", "image_size")
Losses = Mapping[tuple[str, str], Loss]


def print_transfer(
    store: Store, found: Sequence[Matrix], notes: Sequence[str], rule: SelectionRule, form: str
) -> None:
    """Print the matrices of a results folder.

    Raises:
        UserError: no such format, no method was tuned on two tasks, or damaged logits.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if not found:
        raise UserError(
            f"No method in {store.root} was tuned on two tasks with the same number of epochs, so "
            "there is nothing to transfer; search another factor or data set in the same --results."
        )
    lost = [losses(store, matrix.cells) for matrix in found]
    if form == "table":
        print("\n".join(transfer_text(found, lost, notes, rule, store.root)))
        return
    frame = transfer_frame(found, lost, rule, store.root)
    if form == "csv":
        sys.stdout.write(frame.to_csv(index=False))
        for line in (*([rule.watermark] if rule.watermark else []), *notes):
            print(line, file=sys.stderr)
        return
    lines = [{str(k): json_value(v) for k, v in r.items()} for r in frame.to_dict("records")]
    data = {"rule": rule.name, "watermark": rule.watermark or None, "rows": lines}
    print(json.dumps(data | {"notes": list(notes)}, indent=2, ensure_ascii=False, allow_nan=False))


def transfer_frame(
    found: Sequence[Matrix], lost: Sequence[Losses], rule: SelectionRule, root: Path
) -> pd.DataFrame:
    """Return one line for each cell; scores are fractions, `command` fills what is missing."""
    lines: list[dict[str, Any]] = []
    for matrix, loss_of in zip(found, lost, strict=True):
        for place, cell in matrix.cells.items():
            line: dict[str, Any] = {"method": matrix.method, "n_epochs": matrix.n_epochs}
            line |= {"tuned_at": place[0], "used_at": place[1]}
            line |= {"source_key": cell.source.selected["key"], "native": place[0] == place[1]}
            line |= {"same_config_as_native": cell.same_config}
            line |= {"balanced_accuracy": cell.spread.mean, "sd": cell.spread.sd}
            line |= {"n_seeds": cell.spread.n, "n_failed": len(cell.failed)}
            line |= {"n_missing": len(cell.missing), **_loss_columns(loss_of.get(place))}
            lines.append(line | {"rule": rule.name, "command": command(cell, root)})
    return pd.DataFrame(lines)


def command(cell: Cell, root: Path) -> str:
    """Return the command that fills a cell; empty where nothing is missing."""
    if not cell.missing:
        return ""
    ends = [one.selected["task_fingerprint"][:8] for one in (cell.source, cell.target)]
    method = shlex.quote(cell.source.study.method)
    return (
        f"lmd-bench transfer --method {method} --from {ends[0]} --to {ends[1]} "
        f"--results {shlex.quote(str(root))}"
    )


def short_names(tuned: Sequence[Tuned]) -> dict[str, str]:
    """Return a name for each task from what tells them apart."""
    rows = {one.task: one.selected for one in tuned}
    differ = [part for part in _PARTS if len({row[part] for row in rows.values()}) > 1]
    names = {task: " ".join(_part(row, part) for part in differ) for task, row in rows.items()}
    if len(set(names.values())) < len(names):
        names = {t: f"{names[t]} {row['task_fingerprint'][:8]}".strip() for t, row in rows.items()}
    return names


def transfer_text(
    found: Sequence[Matrix],
    lost: Sequence[Losses],
    notes: Sequence[str],
    rule: SelectionRule,
    root: Path,
) -> list[str]:
    """Return all matrices as text, and the commands that fill missing cells."""
    lines = [rule.watermark] if rule.watermark else []
    lines += [
        f"Balanced accuracy on test in %, of the config that {rule.name} selects where it was "
        "tuned, retrained where it is used; mean ± SD over the retraining seeds there.",
        "Loss: natively tuned less transferred, in points, paired on the same seeds; then 95 % "
        "intervals over seeds (Student's t) and over test images (paired bootstrap, same trained "
        "models). Neither holds the spread over searches, splits or data sets. =: the same config.",
    ]
    missing: list[str] = []
    for matrix, loss_of in zip(found, lost, strict=True):
        names = short_names(matrix.tuned)
        lines += [
            "",
            f"{matrix.method}, {_epochs(matrix)}; rows: tuned at, columns: used at",
        ]
        lines += text_table(
            ["tuned at", *names.values()],
            [[names[a], *(_score(matrix.cells[a, b]) for b in names)] for a in names],
        )
        lines += ["", *_losses(matrix, loss_of, names)]
        missing += [text for cell in matrix.cells.values() if (text := command(cell, root))]
    lines += ["", *(f"Missing: {text}" for text in dict.fromkeys(missing))] if missing else []
    return [*lines, *(["", *(f"Note: {note}." for note in notes)] if notes else [])]


def _losses(matrix: Matrix, loss_of: Losses, names: Mapping[str, str]) -> list[str]:
    header = ("tuned at", "used at", "loss", "over seeds", "over images")
    rows: list[list[str]] = []
    for (a, b), loss in loss_of.items():
        if matrix.cells[a, b].same_config:
            rows.append([names[a], names[b], "=", "", ""])
            continue
        images = "–" if loss.over_images is None else bounds(loss.over_images, "+")
        seeds = bounds(loss.over_seeds, "+")
        rows.append([names[a], names[b], percent(loss.value, "+"), seeds, images])
    known = [loss.value for loss in loss_of.values() if not isnan(loss.value)]
    mean = spread(known).mean
    summary = (
        f"Mean loss over {len(known)} of {len(loss_of)} transfers: {percent(mean, '+')} points, "
        f"the largest {percent(max(known), '+')}."
        if known
        else "No transfer is judged yet."
    )
    return [*text_table(header, rows), summary]


def _score(cell: Cell) -> str:
    text = percent(cell.spread.mean)
    text += "" if isnan(cell.spread.sd) else f" ± {percent(cell.spread.sd)}"
    if cell.failed:
        text += f" ({len(cell.failed)} failed)"
    if cell.missing and cell.runs:
        text += f" ({len(cell.missing)} missing)"
    return "missing" if not cell.runs and not cell.failed else text


def _loss_columns(loss: Loss | None) -> dict[str, float]:
    nan = float("nan")
    if loss is None:
        return dict.fromkeys(("loss", *_BOUNDS), nan)
    ends = [loss.over_seeds.low, loss.over_seeds.high]
    images = loss.over_images
    ends += [nan, nan] if images is None else [images.low, images.high]
    return {"loss": loss.value, **dict(zip(_BOUNDS, ends, strict=True))}


_BOUNDS = ("loss_seeds_low", "loss_seeds_high", "loss_images_low", "loss_images_high")


def _part(row: Mapping[str, Any], part: str) -> str:
    value = row[part]
    if part == "imbalance_factor":
        return "natural" if value is None else f"IF {value:g}"
    if part == "image_size":
        return f"{value} px"
    prefix = {"n_max": "n_max ", "split_seed": "split "}.get(part, "")
    return f"{prefix}{'–' if value is None else value}"


def _epochs(matrix: Matrix) -> str:
    return f"{matrix.n_epochs} epoch{'' if matrix.n_epochs == 1 else 's'}"
