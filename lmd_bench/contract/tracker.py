"""What has to hold of every tracker, in a folder of its own."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from unittest import mock

from lmd_bench.contract.expect import expect
from lmd_bench.tracking.entry import Entry
from lmd_bench.tracking.sending import Destination, opened


def entry(key: str = "a" * 20, stamp: str = "2026-01-01T00:00:10+00:00") -> Entry:
    """Return a small row."""
    return Entry(
        key=key,
        stamp=stamp,
        title="crt #0 search · synthetic",
        study="crt-synthetic",
        phase="search",
        went_well=True,
        started=1_767_225_600.0,
        ended=1_767_225_610.0,
        settings={"method": "crt", "training.lr": 0.1, "training.pretrained": False},
        facts={"key": key, "status": "ok"},
        scores={"val_balanced_accuracy": 0.5},
        curves={"representation/loss": [(1, 2.0), (2, 1.0)], "calibration/loss": [(1, 0.5)]},
    )


def keeps_what_is_sent(name: str) -> None:
    """A row that is sent is there, also for whoever opens the tracker later."""
    expect(_after(name, [entry()]) == {entry().key: entry().stamp}, "the row is not there")


def keeps_a_row_once(name: str) -> None:
    """Of two rows of one key the later one is there, and others stay."""
    first, later = entry(), replace(entry(), stamp="2026-01-02T00:00:10+00:00")
    other = entry("b" * 20)
    kept = _after(name, [first, other, later])
    expected = {later.key: later.stamp, other.key: other.stamp}
    expect(kept == expected, f"{kept} where {expected} was sent")


def _after(name: str, entries: list[Entry]) -> Mapping[str, str]:
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
        # Nothing goes where the settings of whoever checks it would send it.
        for variable in ("WANDB_MODE", "MLFLOW_TRACKING_URI", "WANDB_BASE_URL"):
            os.environ.pop(variable, None)
        place = Destination(name, str(Path(folder) / "runs"))
        for sent in entries:
            with opened(place, Path(folder)) as tracker:
                tracker.stamps()
                tracker.send(sent)
        with opened(place, Path(folder)) as tracker:
            return dict(tracker.stamps())


CHECKS = (keeps_what_is_sent, keeps_a_row_once)
