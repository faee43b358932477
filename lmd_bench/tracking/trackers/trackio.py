"""Trackio: a run for each row, in a database in a folder, which `trackio show` draws.

URL: https://huggingface.co/docs/trackio
Nothing leaves the machine; `trackio sync` sends a project to a Space. The folder is the URI,
`$TRACKIO_DIR`, or `trackio` in the results, and the project is `$TRACKIO_PROJECT`, or lmd-bench.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import ClassVar

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_file
from lmd_bench.tracking.entry import Entry, steps_of
from lmd_bench.tracking.trackers._base import PROJECT, Tracker

KEY = "lmd_bench.key"  # in the configuration of a run
_MARKS = "lmd-bench"  # folder of a file for each key: the stamp of its run, or nothing before


class Trackio(Tracker):
    """Runs of one project, found by the key in their configuration."""

    package: ClassVar[str] = "trackio"
    environment: ClassVar[Mapping[str, str]] = {"HF_HUB_DISABLE_TELEMETRY": "1"}

    @staticmethod
    def default(results: Path) -> str:
        """Return what the environment names, or a folder of the results."""
        return os.environ.get("TRACKIO_DIR") or str(results / "trackio")

    def __init__(self, uri: str) -> None:
        """Keep runs in the folder `uri`.

        Raises:
            UserError: a URL.
        """
        if "://" in uri:
            raise UserError(
                f"Tracker trackio keeps its runs in a folder, and {uri} is a URL; name a folder, "
                "and send its project there with `trackio sync`."
            )
        folder = Path(uri).expanduser().resolve()
        # The package reads it once, when it is imported; another folder takes another import.
        os.environ["TRACKIO_DIR"] = str(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "trackio"]:
            del sys.modules[name]
        self._marks = folder / _MARKS
        self._project = os.environ.get("TRACKIO_PROJECT") or PROJECT

    def stamps(self) -> Mapping[str, str]:
        """Return what the marks of whole runs say."""
        texts = {mark.stem: mark.read_text("utf-8") for mark in self._marks.glob("[!.]*.txt")}
        return {key: text for key, text in texts.items() if text}

    def send(self, entry: Entry) -> None:
        """Make a run, with an epoch of a stage at each step, and the scores at the last."""
        trackio = import_module(self.package)
        mark = self._marks / f"{entry.key}.txt"
        if mark.exists():
            for run in trackio.Api().runs(self._project):
                if (run.config or {}).get(KEY) == entry.key:
                    run.delete()
        self._marks.mkdir(parents=True, exist_ok=True)
        mark.write_text("", "utf-8")
        # It tells on the screen of each run.
        with redirect_stdout(StringIO()):
            trackio.init(
                project=self._project,
                name=entry.title,
                group=entry.study,
                config={**entry.facts, **entry.settings, KEY: entry.key},
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
            steps = steps_of(entry)
            for step, values in enumerate(steps, start=1):
                trackio.log(values, step=step)
            trackio.log(dict(entry.scores), step=len(steps) + 1)
            trackio.finish()
        with whole_file(mark) as file:
            file.write_text(entry.stamp, "utf-8")
