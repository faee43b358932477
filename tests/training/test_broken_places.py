"""What a machine's fault becomes: no row, and no word of a kill that did not happen."""

import errno
import os
import urllib.error
from pathlib import Path

import pytest
import torch

from lmd_bench.core.errors import BrokenPlaceError, DiskError
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec, no_report
from lmd_bench.store.store import Store, open_store
from lmd_bench.training import measured, trial

SPEC = TrialSpec(TaskSpec("made"), "f", "ce", "cross_entropy", "none", {}, seed=0, n_epochs=1)


def end_with(monkeypatch, error):
    def run_trial(*arguments):
        raise error

    monkeypatch.setattr(trial, "run_trial", run_trial)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ESTALE, "Stale file handle"), BrokenPlaceError),
        (OSError(errno.EIO, "Input/output error"), BrokenPlaceError),
        (TimeoutError("read timed out"), BrokenPlaceError),
        (ConnectionResetError(104, "Connection reset by peer"), BrokenPlaceError),
        (urllib.error.URLError("no route to host"), BrokenPlaceError),
        (OSError(errno.ENOSPC, "No space left on device"), DiskError),
        (OSError(errno.EROFS, "Read-only file system"), DiskError),
        (PermissionError(errno.EACCES, "Permission denied"), DiskError),
    ],
)
def test_an_error_of_files_is_told_apart_by_what_the_system_says(
    tmp_path, monkeypatch, error, kind
):
    end_with(monkeypatch, error)
    with pytest.raises(BrokenPlaceError, match="could not read or write its files") as raised:
        trial.execute_trial(SPEC, TrialContext(tmp_path), no_report)
    assert type(raised.value) is kind


def test_a_disk_that_refuses_the_row_is_a_sentence(tmp_path, monkeypatch):
    end_with(monkeypatch, ValueError("a bug in a method"))

    def write(self, row, logits=()):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Store, "write", write)
    with pytest.raises(DiskError, match="could not write its row"):
        trial.execute_trial(SPEC, TrialContext(tmp_path), no_report)


def test_a_gpu_that_does_not_tell_its_name_leaves_the_cause_in_the_row(tmp_path, monkeypatch):
    end_with(monkeypatch, ValueError("a bug in a method"))

    def device_columns(device, context):
        raise RuntimeError("Found no NVIDIA driver on your system")

    monkeypatch.setattr(measured, "device_columns", device_columns)
    row = trial.execute_trial(SPEC, TrialContext(tmp_path), no_report)
    assert (row["status"], row["cause"]) == ("error", "ValueError: a bug in a method")
    assert row["host"]


def test_a_traceback_that_cannot_be_written_leaves_the_row(tmp_path, monkeypatch):
    end_with(monkeypatch, ValueError("a bug in a method"))

    def whole_file(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(measured, "whole_file", whole_file)
    row = trial.execute_trial(SPEC, TrialContext(tmp_path), no_report)
    assert open_store(tmp_path).get(row["key"])["cause"] == "ValueError: a bug in a method"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_cannot_be_opened_is_the_machines_fault(tmp_path):
    with pytest.raises(BrokenPlaceError, match="the device cuda cannot be used"):
        trial.execute_trial(SPEC, TrialContext(tmp_path, device="cuda"), no_report)
    assert not list(Path(tmp_path).glob("trials/*.parquet"))
