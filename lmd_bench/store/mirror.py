"""A results folder mirrored at a URL, for machines that share no folder.

Any URL that fsspec knows: `s3://bucket/x`, `gs://`, `sftp://`, `file:///mnt/x`. A worker puts its
row and the encoder it trained there, the search fetches them, and the same command on a fresh
machine first fetches all rows. What is asked of one trial is looked up by its name; only the start
of a search lists what is there.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import fsspec

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import temporary_name, whole_file, whole_folder
from lmd_bench.core.schema import Row, TrialRow, content_hash
from lmd_bench.store.gathered import FOLDER as GATHERED
from lmd_bench.store.gathered import gathered_files
from lmd_bench.store.row_files import read_table
from lmd_bench.store.store import FOLDER as ABLATIONS
from lmd_bench.store.store import REPRODUCTIONS, LogitRow, Store

T = TypeVar("T")
_OF_ONE = ("tracebacks", "logits", "trials")  # files of one trial each
_OF_MANY = (GATHERED, "compacted")  # of many trials; a later one takes the place of earlier ones
# Rows last: where one is, its logits are, and what tells whether it is a cell of an ablation.
FOLDERS = (ABLATIONS, REPRODUCTIONS, "tracebacks", "logits", GATHERED, "trials", "compacted")
_CLAIM = ".json"
PAUSES = (1.0, 5.0, 20.0)  # seconds between tries; a network is away for a moment
_EXPIRED = ("expiredtoken", "expired", "invalidaccesskeyid", "signaturedoesnotmatch")


@dataclass(frozen=True)
class Mirror:
    """A URL and the folder that it mirrors."""

    url: str
    root: Path

    def pull(self) -> int:
        """Fetch the rows that are there and not here, and what belongs to them.

        That is their logits, what cells of ablations stand for, and records of `reproduce`.

        Returns:
            the number of rows that were not here.

        Raises:
            OSError: it cannot be read.
        """
        far = self._there()
        here = {str(key) for key in Store(self.root).scan(["key"]).table["key"].to_pylist()}
        n_rows = 0
        for name in far:
            if name.startswith(_OF_MANY):
                n_rows += self._pull_many(name, here)
            elif _key_of(name) not in here:
                if not (self.root / name).exists():
                    self._fetch(name)
                n_rows += name.startswith("trials/")
        return n_rows

    def pull_row(self, key: str) -> None:
        """Fetch the files of one trial, as far as they are there."""
        fs, base = self._open()
        for name in _files_of(key):
            if not (self.root / name).exists() and self._tried(fs.exists, f"{base}/{name}"):
                self._fetch(name)

    def push(self, keys: Iterable[str]) -> None:
        """Put the files of these trials there, under another name first.

        Raises:
            OSError: it cannot be written.
        """
        fs, base = self._open()
        for name in (name for key in keys for name in _files_of(key)):
            if (self.root / name).is_file() and not self._tried(fs.exists, f"{base}/{name}"):
                self._put(name)

    def push_all(self) -> None:
        """Put there what is here, compacted rows and gathered logits too.

        Raises:
            OSError: it cannot be written.
        """
        far = set(self._there())
        for folder in FOLDERS:
            for path in sorted((self.root / folder).glob("[!.]*")):
                name = f"{folder}/{path.name}"
                if name not in far:
                    self._put(name)
                    self._note(name)

    def has(self, name: str) -> bool:
        """Say whether there is a file of that name."""
        fs, base = self._open()
        return bool(self._tried(fs.exists, f"{base}/{name}"))

    def fetch_folder(self, name: str, marker: str) -> bool:
        """Fetch a folder whose file `marker` was put there last; return whether it is there."""
        if not self.has(f"{name}/{marker}"):
            return False
        fs, base = self._open()
        files = [str(path).rpartition("/")[2] for path in self._list(name)]
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(self.root / name, replace=True) as temporary:
            for file in files:
                if not file.startswith("."):
                    self._tried(fs.get_file, f"{base}/{name}/{file}", str(temporary / file))
        return True

    def push_folder(self, name: str, marker: str) -> None:
        """Put a folder there, its file `marker` last.

        Raises:
            OSError: it cannot be written.
        """
        files = [path.name for path in (self.root / name).glob("[!.]*") if path.name != marker]
        for file in (*sorted(files), marker):
            self._put(f"{name}/{file}")

    def put_text(self, name: str, text: str) -> None:
        """Put a short text there."""
        fs, base = self._open()
        fs.makedirs(f"{base}/{name.rpartition('/')[0]}", exist_ok=True)
        self._tried(fs.pipe_file, f"{base}/{name}", text.encode())

    def texts(self, folder: str) -> dict[str, tuple[float, Any]]:
        """Return the JSON texts of a folder by name, each with its age in seconds.

        One that stays half written is {}. Ages are by the clock of the far end, as long as one of
        the texts was put there just now.
        """
        fs, _ = self._open()
        fs.invalidate_cache()
        found: dict[str, tuple[float, Any]] = {}
        for path in self._list(folder):
            with suppress(OSError):
                changed = _seconds(fs.modified(path))
                found[str(path).rpartition("/")[2]] = (changed, _json_of(fs, path))
        latest = max((changed for changed, _ in found.values()), default=0.0)
        return {name: (latest - changed, data) for name, (changed, data) in found.items()}

    def remove(self, name: str) -> None:
        """Remove a file there, if it is there."""
        fs, base = self._open()
        with suppress(Exception):
            fs.rm_file(f"{base}/{name}")

    def check(self) -> None:
        """Check that the URL can be written to.

        Raises:
            UserError: it cannot, or fsspec lacks a package for it.
        """
        try:
            fs, base = self._open()
            fs.makedirs(base, exist_ok=True)
            probe = f"{base}/.probe-{uuid.uuid4().hex[:8]}"
            fs.pipe_file(probe, b"lmd-bench")
            fs.rm_file(probe)
        except Exception as error:
            # Each protocol has errors of its own.
            if _expired(error):
                raise self._renew(error) from error
            raise UserError(
                f"--mirror {self.url} cannot be written to ({type(error).__name__}: {error}); give "
                "a URL that fsspec knows, install its package (s3fs, gcsfs, ...), or leave it out."
            ) from error

    def _renew(self, error: Exception) -> UserError:
        text = " ".join(str(error).split())[:150]
        return UserError(
            f"The credentials for --mirror {self.url} have expired or are not valid ({text}); "
            "renew them, then the same command goes on and puts there what is missing."
        )

    def _open(self) -> tuple[Any, str]:
        fs, base = fsspec.core.url_to_fs(self.url)
        return fs, base.rstrip("/")

    def _tried(self, operation: Callable[..., T], *arguments: Any) -> T:
        """Return what an operation gives, tried again with pauses.

        Raises:
            UserError: the credentials are not valid any more.
            OSError: it fails after all tries.
        """
        for seconds in (*PAUSES, None):
            try:
                return operation(*arguments)
            except FileNotFoundError:
                raise
            except Exception as error:
                # Each protocol has errors of its own.
                if _expired(error):
                    raise self._renew(error) from error
                if seconds is None:
                    raise OSError(f"the mirror {self.url} does not answer ({error})") from error
                time.sleep(seconds)
        raise AssertionError("unreachable")

    def _list(self, folder: str) -> Sequence[str]:
        fs, base = self._open()
        try:
            return self._tried(lambda: fs.ls(f"{base}/{folder}", detail=False))
        except FileNotFoundError:
            return ()

    def _there(self) -> list[str]:
        fs, _ = self._open()
        # fsspec remembers listings; what other machines wrote since would be missed.
        fs.invalidate_cache()
        far_names: list[str] = []
        for folder in FOLDERS:
            names = [str(path).rpartition("/")[2] for path in self._list(folder)]
            far_names += [f"{folder}/{name}" for name in names if not name.startswith(".")]
        return far_names

    def _pull_many(self, name: str, here: set[str]) -> int:
        """Fetch a file of many trials where it holds some that are not here.

        Returns:
            the number of its rows that are not in `here`; 0 of one that holds logits.
        """
        path = self.root / name
        if name in self._noted() or path.exists():
            return 0
        holds_rows = name.startswith("compacted/")
        known = here if holds_rows else self._keys_of_logits()
        self._fetch(name)
        new = _keys_in(path) - known
        # Once is enough: a compaction here may put another file in its place.
        self._note(name)
        if not new:
            path.unlink(missing_ok=True)
        return len(new) if holds_rows else 0

    def _keys_of_logits(self) -> set[str]:
        """Return the keys of the trials whose logits are here."""
        singles = {path.stem for path in self.root.glob("logits/[!.]*.parquet")}
        return singles.union(*map(_keys_in, gathered_files(self.root)))

    def _notes(self) -> Path:
        return self.root / f".mirror-{content_hash(self.url)[:12]}.json"

    def _noted(self) -> set[str]:
        try:
            return set(json.loads(self._notes().read_text()))
        except (OSError, ValueError):
            return set()

    def _note(self, name: str) -> None:
        if name.startswith(_OF_MANY):
            with whole_file(self._notes()) as temporary:
                temporary.write_text(json.dumps(sorted({*self._noted(), name})))

    def _put(self, name: str) -> None:
        # Renamed there when whole: another machine never fetches half a file.
        fs, base = self._open()
        folder, _, file = name.rpartition("/")
        fs.makedirs(f"{base}/{folder}", exist_ok=True)
        temporary = f"{base}/{folder}/{temporary_name(Path(file)).name}"
        try:
            self._tried(fs.put_file, str(self.root / name), temporary)
            self._tried(fs.mv, temporary, f"{base}/{name}")
        except BaseException:
            # A full disk there must not fill further.
            with suppress(Exception):
                fs.rm_file(temporary)
            raise

    def _fetch(self, name: str) -> None:
        fs, base = self._open()
        final = self.root / name
        final.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(final) as temporary:
            self._tried(fs.get_file, f"{base}/{name}", str(temporary))


@dataclass(frozen=True)
class MirroredStore(Store):
    """A store that looks at its mirror for rows which another machine wrote."""

    mirror: Mirror

    def write(self, row: TrialRow, logits: Iterable[LogitRow] = ()) -> None:
        """Write a row, and put it to the mirror; one that does not answer gets it later."""
        super().write(row, logits)
        with suppress(OSError):
            self.mirror.push([row["key"]])

    def get(self, key: str) -> TrialRow | None:
        """Return the row of a key, fetched where it is not here."""
        row = super().get(key)
        if row is None:
            # A mirror that cannot be reached is no reason to stop: the trial may be run here.
            with suppress(OSError):
                self.mirror.pull_row(key)
            row = super().get(key)
        return row


@contextmanager
def far_claim(
    mirror: Mirror, folder: str, facts: Row, *, fresh: float, settle: float = 1.5
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Put up a claim in a folder of the mirror; yield its name and the fresh ones before it.

    Of two that claim at once, the one whose file is older, or else comes first by name, is first.
    So a claim is written once, and `renew` puts a sign of life beside it.

    Args:
        mirror: Where.
        folder: Of claims.
        facts: What the claim says.
        fresh: Seconds after which a claim that was not renewed is that of a dead process.
        settle: Seconds until others at the same moment are sure to be seen; dates may be of whole
            seconds.
    """
    name = f"{uuid.uuid4().hex[:16]}{_CLAIM}"
    mirror.put_text(f"{folder}/{name}", json.dumps(facts))
    try:
        time.sleep(settle)
        claims = far_claims(mirror, folder)
        own_age = claims[name].age if name in claims else 0.0
        before = {
            other: claim.facts
            for other, claim in claims.items()
            if other != name and claim.silent < fresh and (-claim.age, other) < (-own_age, name)
        }
        yield name, before
    finally:
        mirror.remove(f"{folder}/{name}")
        mirror.remove(f"{folder}/{_sign(name)}")


class FarClaim(NamedTuple):
    """A claim on a mirror."""

    age: float  # seconds since it was put up
    silent: float  # seconds since it was put up or renewed
    facts: Any


def far_claims(mirror: Mirror, folder: str) -> dict[str, FarClaim]:
    """Return the claims in a folder of a mirror by their names."""
    found = mirror.texts(folder)
    return {
        name: FarClaim(age, min(age, found.get(_sign(name), (age, None))[0]), facts)
        for name, (age, facts) in found.items()
        if name.endswith(_CLAIM)
    }


def renew(mirror: Mirror, folder: str, name: str) -> None:
    """Show that the holder of a claim lives; the claim's own age says who came first."""
    mirror.put_text(f"{folder}/{_sign(name)}", "{}")


def _sign(name: str) -> str:
    return f"{name.removesuffix(_CLAIM)}.alive"


def _json_of(fs: Any, path: str) -> Any:
    """Return the JSON of a file; its owner may be writing it at this moment."""
    for _ in range(5):
        with suppress(ValueError):
            return json.loads(fs.cat_file(path))
        time.sleep(0.1)
    return {}


def _files_of(key: str) -> tuple[str, ...]:
    return (f"tracebacks/{key}.txt", f"logits/{key}.parquet", f"trials/{key}.parquet")


def _key_of(name: str) -> str:
    """Return the key of the trial that a file is of; "" of any other file."""
    folder, _, file = name.partition("/")
    return file.partition(".")[0] if folder in _OF_ONE else ""


def _keys_in(path: Path) -> set[str]:
    """Return the keys in a file of many trials; none where it is damaged, or gone by now."""
    table = read_table(path, ["key"])
    return set() if table is None else set(table["key"].to_pylist())


def _expired(error: Exception) -> bool:
    text = f"{type(error).__name__} {error}".lower().replace(" ", "")
    return any(word in text for word in _EXPIRED)


def _seconds(moment: Any) -> float:
    return float(moment.timestamp()) if hasattr(moment, "timestamp") else float(moment)
