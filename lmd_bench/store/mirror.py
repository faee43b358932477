"""A results folder mirrored at a URL, for machines that share no folder.

Any URL that fsspec knows: `s3://bucket/x`, `gs://`, `sftp://`, `file:///mnt/x`. A worker puts its
row there, the search fetches it, and the same command on a fresh machine first fetches all. Only
rows, logits and tracebacks travel; an encoder that is missing on a machine is trained there.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import temporary_name, whole_file
from lmd_bench.core.schema import TrialRow
from lmd_bench.store.store import Store

FOLDERS = ("tracebacks", "logits", "trials")  # a row last: where it is, its logits are


@dataclass(frozen=True)
class Mirror:
    """A URL and the folder that it mirrors."""

    url: str
    root: Path

    def pull(self) -> int:
        """Fetch what is there and not here; return the number of rows."""
        lacking = [name for name in self._there() if not (self.root / name).exists()]
        for name in lacking:
            self._fetch(name)
        return sum(name.startswith("trials/") for name in lacking)

    def pull_row(self, key: str) -> None:
        """Fetch the files of one trial, as far as they are there."""
        files = _files_of(key)
        far_names = set(self._there())
        for name in files:
            if name in far_names and not (self.root / name).exists():
                self._fetch(name)

    def push(self, keys: Iterable[str]) -> None:
        """Put the files of these trials there, under another name first.

        Raises:
            OSError: it cannot be written.
        """
        fs, base = self._open()
        far_names = set(self._there())
        for name in (name for key in keys for name in _files_of(key)):
            if (self.root / name).is_file() and name not in far_names:
                # Renamed there when whole: another machine never fetches half a file.
                folder, _, file = name.partition("/")
                fs.makedirs(f"{base}/{folder}", exist_ok=True)
                temporary = f"{base}/{folder}/{temporary_name(Path(file)).name}"
                try:
                    fs.put_file(str(self.root / name), temporary)
                    fs.mv(temporary, f"{base}/{name}")
                except BaseException:
                    # A full disk there must not fill further.
                    with suppress(Exception):
                        fs.rm_file(temporary)
                    raise

    def push_all(self) -> None:
        """Put there what is here.

        Raises:
            OSError: it cannot be written.
        """
        self.push(sorted(path.stem for path in self.root.glob("trials/[!.]*.parquet")))

    def check(self) -> None:
        """Check that the URL can be written to.

        Raises:
            UserError: it cannot, or fsspec lacks a package for it.
        """
        try:
            fs, base = self._open()
            fs.makedirs(base, exist_ok=True)
            fs.pipe_file(f"{base}/.probe", b"lmd-bench")
            fs.rm_file(f"{base}/.probe")
        except Exception as error:
            # Each protocol has errors of its own.
            raise UserError(
                f"--mirror {self.url} cannot be written to ({type(error).__name__}: {error}); give "
                "a URL that fsspec knows, install its package (s3fs, gcsfs, ...), or leave it out."
            ) from error

    def _open(self) -> tuple[Any, str]:
        fs, base = fsspec.core.url_to_fs(self.url)
        return fs, base.rstrip("/")

    def _there(self) -> list[str]:
        fs, base = self._open()
        # fsspec remembers listings; what other machines wrote since would be missed.
        fs.invalidate_cache()
        far_names: list[str] = []
        for folder in FOLDERS:
            with suppress(FileNotFoundError):
                paths = fs.ls(f"{base}/{folder}", detail=False)
                names = [str(path).rpartition("/")[2] for path in paths]
                far_names += [f"{folder}/{name}" for name in names if not name.startswith(".")]
        return far_names

    def _fetch(self, name: str) -> None:
        fs, base = self._open()
        final = self.root / name
        final.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(final) as temporary:
            fs.get_file(f"{base}/{name}", str(temporary))


@dataclass(frozen=True)
class MirroredStore(Store):
    """A store that looks at its mirror for rows which another machine wrote."""

    mirror: Mirror

    def get(self, key: str) -> TrialRow | None:
        """Return the row of a key, fetched where it is not here."""
        row = super().get(key)
        if row is None:
            # A mirror that cannot be reached is no reason to stop: the trial may be run here.
            with suppress(OSError):
                self.mirror.pull_row(key)
            row = super().get(key)
        return row


def _files_of(key: str) -> tuple[str, ...]:
    return (f"tracebacks/{key}.txt", f"logits/{key}.parquet", f"trials/{key}.parquet")
