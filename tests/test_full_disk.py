"""A full disk: whatever is being written, nothing half-written is left behind."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from safetensors import SafetensorError

from lmd_bench.core import files
from lmd_bench.core.errors import DiskError, UserError, file_error
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.experiments.simulation.export import write_tables
from lmd_bench.methods.pipeline import resolve
from lmd_bench.methods.settings import section_defaults
from lmd_bench.search.tune.doctor import examine
from lmd_bench.search.watching.traces import Heartbeat, SearchTrace, write_search
from lmd_bench.store.merging import _copy
from lmd_bench.store.mirror import Mirror
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store
from lmd_bench.training import encoders, tensor_file
from lmd_bench.training.measured import _write_traceback
from tests import tiny

CONFIG = {
    **section_defaults("training"),
    **section_defaults("cross_entropy"),
    **section_defaults("none"),
    "training.stem": "imagenet",  # that of `tiny.model`
}
SPEC = TrialSpec(TaskSpec("made"), "f", "ce", "cross_entropy", "none", CONFIG, seed=0, n_epochs=1)
TIMES = {"started_at": "t", "finished_at": "t", "seconds": 1.0, "standalone_seconds": 1.0}


def an_encoder(root: Path) -> encoders.Encoder:
    folder = root / "encoders" / "key"
    return encoders.Encoder(
        "key", tiny.model(), (), 1, 0.0, 1.0, cached=False, folder=folder, file=folder
    )


def data() -> encoders.TrialData:
    train_set, val_set = tiny.sets()
    return encoders.TrialData(train_set, val_set, len(tiny.COUNTS))


def a_row(root: Path, seed: int = 0) -> dict[str, Any]:
    return make_row(replace(SPEC, seed=seed), TrialContext(root), status="ok", **TIMES)


def write_row(root: Path) -> None:
    open_store(root).write(a_row(root), [("image", "val", 0, [0.5, 1.5])])


def write_marker(root: Path) -> None:
    open_store(root / "another", create=True)


def write_traceback(root: Path) -> None:
    _write_traceback(ValueError("no"), SPEC, TrialContext(root))


def write_trace(root: Path) -> None:
    write_search(root, SearchTrace("command", 0.0, 1, ()))


def write_sign_of_life(root: Path) -> None:
    Heartbeat(root, "key", "study", "name")


def write_encoder(root: Path) -> None:
    encoders._store(root / "encoders" / "key", *tiny.trained(), seconds=1.0)


def write_features(root: Path) -> None:
    encoder = an_encoder(root)
    encoder.folder.mkdir()
    encoders.cached_features(encoder, data())


def fetch_from_mirror(root: Path) -> None:
    Mirror(f"file://{root}/far", root).pull()


def copy_for_a_merge(root: Path) -> None:
    _copy(root / "store.json", root / "copy")


def examine_the_folder(root: Path) -> None:
    assert examine(root).trouble == os.strerror(errno.ENOSPC)


def export_trials(root: Path) -> None:
    write_tables([], [a_row(root)], root / "export")


def write_what_was_asked_for(root: Path) -> None:
    with files.asked_file(root / "table.csv") as temporary:
        temporary.write_text("half")


@pytest.mark.parametrize(
    "write",
    [
        write_row,
        write_marker,
        write_traceback,
        write_trace,
        write_sign_of_life,
        write_encoder,
        write_features,
        fetch_from_mirror,
        copy_for_a_merge,
        examine_the_folder,
        export_trials,
        write_what_was_asked_for,
    ],
)
def test_a_full_disk_leaves_nothing_behind(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(tmp_path, create=True)
    (tmp_path / "encoders").mkdir()
    (tmp_path / "far" / "trials").mkdir(parents=True)
    (tmp_path / "far" / "trials" / "key.parquet").write_bytes(b"row")
    before = files_below(tmp_path)
    fill_the_disk(monkeypatch)

    # Whether it is said or passed over, such as for a sign of life, is the writer's own affair.
    with suppress(OSError, UserError):
        write(tmp_path)

    assert files_below(tmp_path) == before


def test_a_full_disk_at_the_far_end_leaves_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = a_row(tmp_path)
    open_store(tmp_path, create=True).write(row)
    mirror = Mirror(f"file://{tmp_path}/far", tmp_path)

    def full(self: Any, source: str, target: str, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fsspec.get_filesystem_class("file"), "mv", full)
    monkeypatch.setattr("lmd_bench.store.mirror.PAUSES", (0.0,))
    with pytest.raises(OSError, match="space"):
        mirror.push([row["key"]])

    assert files_below(tmp_path / "far") == set()


def test_a_damaged_encoder_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "key"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"cut off")
    (folder / "own_head.safetensors").write_bytes(b"cut off")

    encoders._store(folder, *tiny.trained(best_epoch=2), seconds=1.0)

    assert files_below(tmp_path) == {folder / "encoder.json", folder / "model.safetensors"}
    assert encoders._load(folder, SPEC, resolve(SPEC), data()) is not None


def test_a_disk_that_fills_between_the_two_states_of_an_encoder_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def full_at_the_second(tensors: Any, path: Path) -> None:
        if written:
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        written.append(path.name)
        path.write_bytes(b"the first state")

    monkeypatch.setattr(tensor_file, "save_file", full_at_the_second)
    with pytest.raises(OSError, match="cannot write model.safetensors: .*No space") as caught:
        encoders._store(tmp_path / "key", *tiny.trained(), seconds=1.0)

    # By its number a search knows that no other machine does better, and stops.
    assert isinstance(file_error("A trial could not write", caught.value), DiskError)

    assert written == ["own_head.safetensors"]
    assert list(tmp_path.iterdir()) == []


def files_below(root: Path) -> set[Path]:
    """Return every file but the locks, which stay on purpose."""
    return {p for p in root.rglob("*") if p.is_file() and not p.name.endswith(".lock")}


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no file get its final name, as on a disk without room for one more entry."""

    def full(*names: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(os, "rename", full)
