"""TensorBoard: a folder of event files for each row, below that of its study.

URL: https://www.tensorflow.org/tensorboard
Settings and scores are in the HParams dashboard, curves are scalars over epochs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from lmd_bench.core.files import whole_folder
from lmd_bench.tracking.entry import Entry
from lmd_bench.tracking.trackers._base import MARK, Tracker


class TensorBoard(Tracker):
    """Event files below a folder."""

    package: ClassVar[str] = "tensorboard"

    @staticmethod
    def default(results: Path) -> str:
        """Return a folder of the results."""
        return str(results / "tensorboard")

    def __init__(self, uri: str) -> None:
        """Write below the folder `uri`."""
        self._folder = Path(uri).expanduser()

    def stamps(self) -> Mapping[str, str]:
        """Return what the folders say that are whole."""
        marks = self._folder.glob(f"*/[!.]*/{MARK}")
        return {mark.parent.name: mark.read_text("utf-8") for mark in marks}

    def send(self, entry: Entry) -> None:
        """Write a folder of its own, which gets its name when it is whole."""
        # Protocol buffers make their classes when they are imported, so no checker sees them.
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        final = self._folder / entry.study.replace("/", "_") / entry.key
        final.parent.mkdir(parents=True, exist_ok=True)
        settings = dict(entry.settings)
        with whole_folder(final, replace=True) as folder:
            writer = EventFileWriter(str(folder))
            summary = hparams_pb(settings, trial_id=entry.key, start_time_secs=entry.started)
            writer.add_event(Event(wall_time=entry.started, summary=summary))
            scalars = [(name, 0, value) for name, value in entry.scores.items()]
            for name, points in entry.curves.items():
                scalars += [(name, epoch, value) for epoch, value in points]
            for name, step, value in scalars:
                summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
                writer.add_event(Event(wall_time=entry.ended, step=step, summary=summary))
            writer.close()
            (folder / MARK).write_text(entry.stamp, "utf-8")
