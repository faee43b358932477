"""Whether results are what they are given out as: each row against its key, its logits, its peers.

A key is the hash of all that shapes a trial, so another setting, seed, method or task is seen at
once. Every metric is computed again from the logits. Runs on one task must have judged the same
images with the same labels; with the data at hand, those of the task itself. What cannot be seen
here is a whole run that was made up, logits and all: `reproduce` finds that.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import PIPELINE_VERSION, DataSource, Row, TaskSpec, TrialSpec
from lmd_bench.core.text import task_label
from lmd_bench.data.build import OnImages, prepare_dataset
from lmd_bench.data.tasks.protocols import cut
from lmd_bench.data.tasks.task import fingerprint
from lmd_bench.experiments.peers import absent, astray, fewer_seeds, without_rounds
from lmd_bench.methods.catalogue import named_methods
from lmd_bench.store.hiding import hidden_ids
from lmd_bench.store.packs import Fault, file_hash, unpack
from lmd_bench.store.recomputed import contradicted
from lmd_bench.store.reproductions import logits_hash
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import SplitLogits, Store, open_store

_OF_TASK = ("class_names", "class_counts", "groups", "n_train", "n_val")
_OWN_SEED = ("confirm", "race", "transfer")  # equal logits under two seeds are worth a look
Split = dict[str, int]  # hidden id -> label


@dataclass(frozen=True)
class Verification:
    """What was looked at, and what is wrong."""

    faults: tuple[Fault, ...]
    notes: tuple[str, ...]  # what could not be looked at
    n_rows: int
    n_recomputed: int  # rows all of whose metrics were computed again from their logits
    sha256: str = ""  # of a pack


def verify(
    place: Path,
    *,
    into: Path | None = None,
    source: DataSource | None = None,
    on_images: OnImages | None = None,
) -> Verification:
    """Look at a pack or a results folder for what does not fit together.

    Args:
        place: A pack of `lmd-bench submit`, or a results folder.
        into: Where to leave what a pack holds, as a results folder; None: nowhere.
        source: Where the data lie, to compare images and labels with the tasks themselves; None:
            runs are compared with one another.
        on_images: Called as images are decoded.

    Raises:
        UserError: no pack and no results there, or data that are not here.
    """
    if place.is_dir():
        if into is not None:
            raise UserError(f"{place} is a results folder already; only a pack is unpacked.")
        return _verified(open_store(place), [], "", source, on_images)
    with TemporaryDirectory(prefix="lmd-bench-verify-") as folder:
        root = into or Path(folder) / "results"
        faults = unpack(place, root)
        return _verified(open_store(root), faults, file_hash(place), source, on_images)


def _verified(
    store: Store,
    faults: Sequence[Fault],
    sha256: str,
    source: DataSource | None,
    on_images: OnImages | None,
) -> Verification:
    scanned = store.scan()
    all_faults = [*faults]
    all_faults += [Fault("manifest", path.name, "it cannot be read") for path in scanned.damaged]
    rows: list[Row] = scanned.table.to_pylist()
    judged: dict[str, Mapping[str, SplitLogits]] = {}
    for row in rows:
        try:
            logits = store.read_logits(row["key"])
        except UserError:
            all_faults.append(Fault("logits", row["key"], "their file cannot be read"))
            continue
        judged |= {row["key"]: logits} if logits else {}
    for row in rows:
        all_faults += _of_row(row)
        all_faults += _of_logits(row, judged.get(row["key"], {}))
    readable = [row for row in rows if _spec(row) is not None]
    all_faults += _of_tasks(rows, judged, _tasks_here(readable, source, on_images))
    all_faults += astray(readable)
    all_faults += absent(rows)
    all_faults += without_rounds(rows)
    n_ok = sum(row["status"] == "ok" for row in rows)
    notes = _copies(rows, judged) + fewer_seeds(rows)
    whole = [row for row in rows if _is_covered(row, judged.get(row["key"], {}))]
    if len(whole) < len(judged):
        notes += [
            f"{len(judged) - len(whole)} rows have logits of test alone: metrics on test were "
            "computed again, those on val and at a temperature are taken as told"
        ]
    if len(judged) < n_ok:
        notes += [f"{n_ok - len(judged)} rows have no logits, so their metrics are taken as told"]
    if source is None:
        notes += ["images and labels were compared between runs, not with the data"]
    return Verification(tuple(all_faults), tuple(notes), len(rows), len(whole), sha256)


def _of_row(row: Row) -> list[Fault]:
    """Return what a row alone shows: a key of other data, a name of another method."""
    faults: list[Fault] = []
    spec = _spec(row)
    if spec is None:
        what = "its config_json, versions_json or imbalance_factor cannot be read"
        faults.append(Fault("row", row["key"], what))
    elif row["key"] not in {spec.key_under(n) for n in range(1, PIPELINE_VERSION + 1)}:
        what = "its method, task, settings, seed or study are not those that its key is the hash of"
        faults.append(Fault("key", row["key"], what))
    pair = f"{row['representation']}+{row['calibration']}"
    named = named_methods().get(row["method"])
    stages = f"{named.representation}+{named.calibration}" if named else row["method"]
    if (named or "+" in row["method"]) and stages != pair:
        what = f"{row['method']} is {stages}, and the row ran {pair}"
        faults.append(Fault("method", row["key"], what))
    on_test, phase = row["test_balanced_accuracy"] is not None, row["phase"]
    if phase in ("search", "race") and on_test:
        faults.append(Fault("test", row["key"], f"a run of phase {phase} was judged on test"))
    if phase in ("confirm", "transfer") and row["status"] == "ok" and not on_test:
        what = f"a run of phase {phase} ended well and has no score on test"
        faults.append(Fault("test", row["key"], what))
    return faults


def _is_covered(row: Row, logits: Mapping[str, SplitLogits]) -> bool:
    """Say whether there are logits of each split that a row tells metrics of."""
    told = (row["val_balanced_accuracy"], row["test_balanced_accuracy"])
    splits = zip(("val", "test"), told, strict=True)
    return bool(logits) and all(split in logits for split, score in splits if score is not None)


def _spec(row: Row) -> TrialSpec | None:
    """Return the trial that a row says it is of; None where what it says makes no key."""
    try:
        spec = spec_of(row)
        assert spec.key
    except (ValueError, TypeError, AttributeError):  # no JSON, no table, NaN
        return None
    return spec


def _of_logits(row: Row, logits: Mapping[str, SplitLogits]) -> list[Fault]:
    """Return the columns of a row that do not follow from its logits."""
    wrong, what = contradicted(row, logits, complete=True)
    return [Fault("metric" if wrong else "logits", row["key"], what)] if what else []


def _tasks_here(
    rows: Sequence[Row], source: DataSource | None, on_images: OnImages | None
) -> dict[str, dict[str, Split] | None]:
    """Return val and test of each task as the data here give them; None where they give another."""
    if source is None:
        return {}
    here: dict[str, dict[str, Split] | None] = {}
    for row in rows:
        expected = row["task_fingerprint"]
        # Of another data set without a split there is nothing to cut.
        if expected in here or row["status"] != "ok" or row["phase"] == "external":
            continue
        spec: TaskSpec = spec_of(row).task
        prepared = prepare_dataset(spec.dataset, source, spec.image_size, on_images)
        table = prepared.table
        split = cut(table, spec, source)
        here[expected] = None
        if fingerprint(table, split, spec, prepared.fingerprint) == expected:
            here[expected] = {
                name: dict(
                    zip(
                        hidden_ids((table.image_ids[i] for i in of.tolist()), expected),
                        table.labels[of].tolist(),
                        strict=True,
                    )
                )
                for name, of in (("val", split.val), ("test", split.test))
            }
    return here


def _of_tasks(
    rows: Sequence[Row],
    judged: Mapping[str, Mapping[str, SplitLogits]],
    here: Mapping[str, dict[str, Split] | None],
) -> list[Fault]:
    """Return the rows that share no images, labels or classes with the others of their task."""
    by_task: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_task[row["task_fingerprint"]].append(row)
    faults: list[Fault] = []
    for task, members in by_task.items():
        if task in here and here[task] is None:
            what = f"the data here give another task than {task_label(members[0])}"
            faults.append(Fault("split", task, what))
        ended = [row for row in members if row["status"] == "ok"]
        for name in _OF_TASK:
            usual = _most([repr(row[name]) for row in ended])
            faults += [
                Fault("task", row["key"], f"{name} is not that of the other runs on its task")
                for row in ended
                if repr(row[name]) != usual
            ]
        for split in ("val", "test"):
            images = {
                row["key"]: _split(judged[row["key"]][split], task)
                for row in members
                if split in judged.get(row["key"], {})
            }
            known = (here.get(task) or {}).get(split)
            faults += _of_split(split, images, known)
    return faults


def _of_split(split: str, images: Mapping[str, Split], known: Split | None) -> list[Fault]:
    usual = tuple(sorted(known.items())) if known is not None else None
    if usual is None:
        usual = _most([tuple(sorted(of.items())) for of in images.values()])
    faults: list[Fault] = []
    for key, of in images.items():
        expected = dict(usual or ())
        if of == expected:
            continue
        others = "the task" if known is not None else "the other runs"
        if of.keys() != expected.keys():
            n = len(of.keys() ^ expected.keys())
            what = f"{split} holds other images than that of {others} ({n} differ)"
            faults.append(Fault("split", key, what))
        else:
            n = sum(of[image] != expected[image] for image in of)
            faults.append(Fault("label", key, f"{n} labels of {split} are not those of {others}"))
    return faults


def _split(logits: SplitLogits, task: str) -> Split:
    ids, labels, _ = logits
    return dict(zip(hidden_ids(ids, task), labels.tolist(), strict=True))


def _most(values: Sequence[Any]) -> Any:
    """Return the most frequent value, the first of equals; None of none."""
    return max(Counter(values).items(), key=lambda item: item[1])[0] if values else None


def _copies(rows: Sequence[Row], judged: Mapping[str, Mapping[str, SplitLogits]]) -> list[str]:
    """Return a note on runs of several seeds whose logits are the same to the bit.

    A method without chance gives them; so does a run that was copied under another seed.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["key"] in judged and row["phase"] in _OWN_SEED:
            logits = judged[row["key"]]
            alike[logits_hash(logits, row["task_fingerprint"])].append(row["key"])
    groups = [keys for keys in alike.values() if len(keys) > 1]
    if not groups:
        return []
    n = sum(map(len, groups))
    return [
        f"{n} runs with seeds of their own share their logits with another, to the bit: right for "
        f"a method without chance, such as of {', '.join(groups[0][:2])}"
    ]
