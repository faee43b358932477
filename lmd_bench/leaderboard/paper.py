"""A paragraph of methods and a checklist for a paper, from what the rows hold.

The checklist has the items of CLAIM and TRIPOD+AI that a store can answer, with their answers, and
those that it cannot, left open: nothing is claimed that no row says.

Papers: Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024
update, Radiology: AI 2024; Collins et al., TRIPOD+AI statement, BMJ 2024.
URL: https://doi.org/10.1148/ryai.240300, https://doi.org/10.1136/bmj-2023-078378
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.core.text import encoder_label
from lmd_bench.leaderboard.studies.group import StudyRows, by_task, group_studies
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import markdown_row
from lmd_bench.store.store import Store

OPEN = "open: to be written by the authors"
_BY_HAND = (
    ("Study aim, design, registration, ethics, funding", "TRIPOD+AI"),
    ("Where and when images were taken, eligibility, exclusions", "CLAIM"),
    ("Reference standard: who labelled, how, agreement of readers", "CLAIM"),
    ("Age, sex and other facts of the people in each split", "CLAIM"),
    ("External test data", "CLAIM"),
    ("Limits, intended use, what a user must know", "CLAIM"),
)


@dataclass(frozen=True)
class Item:
    """One item of the checklist."""

    question: str
    source: str  # CLAIM or TRIPOD+AI
    answer: str


def paper(store: Store, rows: Sequence[Row], rule: SelectionRule) -> str:
    """Return Markdown: methods in words, images of each split, and the checklist.

    Args:
        store: Where the logits lie; they say whether images were grouped.
        rows: Of any number of studies.
        rule: What selects the configuration of each study.

    Raises:
        UserError: nothing is confirmed.
    """
    studies = [study for study in group_studies(rows) if study.is_confirmed]
    if not studies:
        raise UserError(
            f"Nothing in {store.root} is confirmed, so there are no methods to describe; let the "
            "search run to its end, with --confirm-seeds above 0."
        )
    tasks = by_task(studies)
    grouped = any(_is_grouped(store, study, rule) for study in studies)
    text = ["## Methods", "", _methods(studies, rule, grouped), "", "## Images", ""]
    for task, members in tasks.items():
        text += [f"**{task}**", "", *_images(members), ""]
    text += ["## Checklist", "", markdown_row(("item", "checklist", "answer"))]
    text.append(markdown_row(("---", "---", "---")))
    items = [
        *_items(studies, grouped),
        *(Item(question, source, OPEN) for question, source in _BY_HAND),
    ]
    text += [markdown_row((item.question, item.source, item.answer)) for item in items]
    return "\n".join(text) + "\n"


def _methods(studies: Sequence[StudyRows], rule: SelectionRule, grouped: bool) -> str:
    rows = [row for study in studies for row in study.rows]
    seeds = sorted({len(study.ok_runs(study.selected(rule))) for study in studies})
    totals = sorted({len(study.stage1_trials) + len(study.trials) for study in studies})
    n_searched = sorted(
        {
            (_most(study.stage1_trials, "n_searched") or 0) + n
            for study in studies
            if (n := _most(study.trials, "n_searched")) is not None
        }
    )
    settings = f", over {_range(n_searched)} settings" if n_searched else ""
    unit = "lesion or patient" if grouped else "image"
    names = sorted({study.method for study in studies})
    return (
        f"We compared {len(names)} methods ({', '.join(names)}) on {_said(rows, 'dataset')} with "
        f"lmd-bench {_said(rows, 'package_version')} (commit "
        f"{', '.join(sorted({str(r['git_commit'])[:8] for r in rows if r['git_commit']})) or 'n/a'}"
        f"). Images of {_said(rows, 'image_size')} px were split by protocol "
        f"{_said(rows, 'protocol')} (split seed {_said(rows, 'split_seed')}) at imbalance factor "
        f"{_said(rows, 'imbalance_factor', 'natural')}. The encoder was {_encoders(rows)}. Each "
        f"method had {_range(totals)} trials, both stages together{settings}, of "
        f"{_said(rows, 'n_epochs')} epochs of stage 1, the default first. The configuration was "
        f"selected by {rule.description}. It and the default were retrained with {_range(seeds)} "
        "fresh seeds, and only these runs were judged on test. Scores are means over retrainings; "
        f"95 % intervals are over test images by {unit} and retrainings together (Satterthwaite's "
        "degrees of freedom); differences are paired by image and seed, with Holm's correction "
        "over all comparisons shown. Intervals do not hold the spread over searches, splits and "
        "data sets unless these were repeated."
    )


def _images(members: Sequence[StudyRows]) -> list[str]:
    rows = [row for study in members for row in study.rows]
    first = next((row for row in rows if row["class_names"]), None)
    if first is None:
        return ["No trial ended well."]
    test = next((row["test_counts"] for row in rows if row["test_counts"]), None)
    val = next((row["val_counts"] for row in rows if row["val_counts"]), None)
    names = first["class_names"]
    lines = [markdown_row(("split", *names, "all")), markdown_row(["---"] * (len(names) + 2))]
    for split, counts in (("train", first["class_counts"]), ("val", val), ("test", test)):
        cells = ["not stored"] * len(names) if counts is None else [f"{n:,}" for n in counts]
        total = f"{sum(counts):,}" if counts is not None else _total(rows, split)
        lines.append(markdown_row((split, *cells, total)))
    return lines


def _items(studies: Sequence[StudyRows], grouped: bool) -> list[Item]:
    rows = [row for study in studies for row in study.rows]
    statuses = Counter(str(row["status"]) for row in rows)
    failed = ", ".join(f"{n} {name}" for name, n in sorted(statuses.items()) if name != "ok")
    devices = sorted({str(row["device"]) for row in rows})
    seen = sorted({str(row["encoder_seen"]) for row in rows if row.get("encoder_seen")})
    level = "lesion or patient" if grouped else "open: the logits hold no lesion or patient"
    return [
        Item("Data source", "CLAIM", _said(rows, "dataset")),
        Item("Partitions and their sizes", "CLAIM", "see the images above"),
        Item("Level at which partitions are disjoint", "CLAIM", level),
        Item("Class frequencies of each partition", "TRIPOD+AI", "see the images above"),
        Item("Model and its inputs", "CLAIM", f"{_encoders(rows)}, RGB images"),
        Item("Initial weights, seen test images", "CLAIM", ", ".join(seen) or "random weights"),
        Item("Training, search space, trials", "CLAIM", "methods above; `config_json` of rows"),
        Item("Selection of the final model", "CLAIM", "on val alone; test is opened once"),
        Item("Performance measures", "CLAIM", "`lmd-bench leaderboard --metrics all`"),
        Item("Uncertainty", "CLAIM", "images and retrainings together; `intervals`"),
        Item("Sample size", "TRIPOD+AI", "detectable differences: `lmd-bench compare`"),
        Item("Calibration", "TRIPOD+AI", "ECE beside chance, temperature; `--metrics ece`"),
        Item("Prevalence, thresholds, subgroups", "TRIPOD+AI", "`lmd-bench clinic`"),
        Item("Failures", "CLAIM", failed or "none of the runs failed"),
        Item("Hardware", "CLAIM", ", ".join(devices)),
        Item("Software", "CLAIM", f"Python {_said(rows, 'python_version')}; versions in rows"),
        Item("Code and data for repetition", "TRIPOD+AI", "`lmd-bench reproduce KEY`"),
    ]


def _is_grouped(store: Store, study: StudyRows, rule: SelectionRule) -> bool:
    runs = list(study.ok_runs(study.selected(rule)).values())
    return bool(runs) and any(store.read_groups(runs[0]["key"]).get("test", ()))


def _encoders(rows: Iterable[Row]) -> str:
    labels = dict.fromkeys(encoder_label(row) or "ResNet-18 from random weights" for row in rows)
    return ", ".join(labels)


def _said(rows: Iterable[Mapping[str, Any]], name: str, none: str = "n/a") -> str:
    values = {row[name] for row in rows}
    known = sorted(value for value in values if value is not None)
    words = [f"{v:g}" if isinstance(v, float) else str(v) for v in known]
    return ", ".join([*words, *([none] if None in values else [])])


def _most(rows: Iterable[Row], name: str) -> int | None:
    return max((n for row in rows if (n := row.get(name)) is not None), default=None)


def _total(rows: Iterable[Row], split: str) -> str:
    n = _most(rows, f"n_{split}")
    return "not stored" if n is None else f"{n:,}"


def _range(numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    return str(first) if first == last else f"{first} to {last}"
