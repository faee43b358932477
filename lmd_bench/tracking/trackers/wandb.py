"""Weights & Biases: a run for each row, whose id is the row's key.

URL: https://docs.wandb.ai
Nothing leaves the machine unless `$WANDB_MODE` says `online` or the URI is a server's: runs lie in
`FOLDER/wandb`, and `wandb sync` sends them. The project is `$WANDB_PROJECT`, or lmd-bench.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lmd_bench.core.paths import cache_root
from lmd_bench.core.schema import content_hash
from lmd_bench.tracking.entry import Entry, steps_of
from lmd_bench.tracking.trackers._base import MARK, PROJECT, Tracker

_SECONDS = 20.0  # that a server may take to begin a run


class WeightsAndBiases(Tracker):
    """Runs whose ids are keys; a folder of files for each is kept here, sent or not."""

    package: ClassVar[str] = "wandb"
    environment: ClassVar[Mapping[str, str]] = {
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }

    @staticmethod
    def default(results: Path) -> str:
        """Return the folder of the results, in which wandb makes its own."""
        return str(results)

    def __init__(self, uri: str) -> None:
        """Keep runs below the folder `uri`, or send them to the server there."""
        far = uri.startswith(("http://", "https://"))
        self._server = uri if far else None
        self._online = far or os.environ.get("WANDB_MODE") == "online"
        self._folder = cache_root() / "wandb" / content_hash(uri) if far else Path(uri).expanduser()
        self._folder.mkdir(parents=True, exist_ok=True)

    def stamps(self) -> Mapping[str, str]:
        """Return what the folders of runs say that are whole."""
        marks = self._folder.glob(f"wandb/{self._kind}run-*-*/{MARK}")
        return {_key_of(mark.parent): mark.read_text("utf-8") for mark in marks}

    def send(self, entry: Entry) -> None:
        """Make a run, with an epoch of a stage at each step."""
        import wandb

        for folder in self._folder.glob(f"wandb/{self._kind}run-*-{entry.key}"):
            shutil.rmtree(folder)
        settings: dict[str, Any] = {
            **({"base_url": self._server} if self._server else {}),
            "init_timeout": _SECONDS,
            "console": "off",
            "disable_git": True,
            "disable_code": True,
            # Of this process, which is not the one that trained.
            "x_disable_stats": True,
            "x_disable_meta": True,
            "x_disable_machine_info": True,
        }
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=entry.key,
            name=entry.title,
            group=entry.study,
            job_type=entry.phase,
            dir=str(self._folder),
            config={**entry.facts, **entry.settings},
            mode="online" if self._online else "offline",
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(**settings),
        )
        for step, values in enumerate(steps_of(entry), start=1):
            run.log(values, step=step)
        run.summary.update(dict(entry.scores))
        folder = Path(run.dir).parent
        run.finish(exit_code=0 if entry.went_well else 1)
        (folder / MARK).write_text(entry.stamp, "utf-8")

    def close(self) -> None:
        """End the process that wandb keeps beside this one."""
        import wandb

        wandb.teardown()

    @property
    def _kind(self) -> str:
        return "" if self._online else "offline-"


def _key_of(folder: Path) -> str:
    return folder.name.rpartition("-")[2]
