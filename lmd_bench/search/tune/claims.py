"""Claims: no two searches work on one study at once.

`locks/<name>.json` lists the studies of one search and `locks/<name>.lock` is held by it while it
runs, so that the claim of a dead search is free. Searches of other studies may share the folder.

Some file systems give a lock to everybody who asks from another machine. So a search also renews
its claim every few seconds, and a claim of another machine that is fresh counts as held.
"""

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lmd_bench.core.errors import UserError, file_error
from lmd_bench.core.files import whole_file
from lmd_bench.core.locks import Timeout, locked
from lmd_bench.store.mirror import Mirror, far_claim, renew

RENEWED = 20.0  # seconds between two renewals
FAR_RENEWED = 60.0  # the same on a mirror
FAR_FRESH = 600.0
FRESH = 120.0  # seconds after which a claim of another machine that was not renewed is free
_PATIENCE = 60.0  # seconds for others that look at the claims at this moment


@contextmanager
def claimed(results: Path, studies: Iterable[str]) -> Iterator[None]:
    """Hold the studies of a results folder.

    Raises:
        UserError: another search that is running holds one of them.
        BrokenPlaceError: the folder cannot be written to, or has no locks.
    """
    folder = results / "locks"
    wanted = set(studies)
    claim = folder / f"{uuid.uuid4().hex[:16]}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # One search after another looks and claims: two at once would see neither the other's.
        with _turn(folder, results):
            _refuse_held(folder, wanted, results)
            own = locked(claim.with_suffix(".lock"), timeout=0)
            own.__enter__()
            owner = {"host": socket.gethostname(), "process": os.getpid()}
            with whole_file(claim, sync=False) as temporary:
                temporary.write_text(json.dumps(owner | {"studies": sorted(wanted)}))
    except OSError as error:
        raise file_error(f"The studies in {results} cannot be claimed", error) from error
    over = threading.Event()
    threading.Thread(target=_renew, args=(claim, over), name="claim", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        for path in (claim, claim.with_suffix(".lock")):
            with suppress(OSError):
                path.unlink()
        own.__exit__(None, None, None)


@contextmanager
def claimed_far(mirror: Mirror, studies: Iterable[str]) -> Iterator[None]:
    """Hold studies between machines that share a mirror and no folder.

    Raises:
        UserError: a search on another machine holds one of them.
        OSError: the mirror does not answer.
    """
    wanted = sorted(set(studies))
    owner = {"host": socket.gethostname(), "process": os.getpid(), "studies": wanted}
    over = threading.Event()
    with far_claim(mirror, "claims", owner, fresh=FAR_FRESH) as (name, before):
        for claim in before.values():
            if held := sorted(set(wanted) & set(claim.get("studies", ()))):
                raise UserError(
                    f"Another search (process {claim.get('process')} on {claim.get('host')}) is "
                    f"working on {held[0]} in {mirror.url}; wait for it. If it has died, its claim "
                    f"is free after {FAR_FRESH / 60:.0f} minutes."
                )

        def live() -> None:
            while not over.wait(FAR_RENEWED):
                with suppress(OSError, UserError):
                    renew(mirror, "claims", name)

        thread = threading.Thread(target=live, name="far-claim", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=30.0)


def others(results: Path, studies: Iterable[str]) -> bool:
    """Say whether another search claims studies of a folder.

    Args:
        results: The folder.
        studies: Those that this search claims.
    """
    own = sorted(set(studies))
    claims = [_read(path) for path in (results / "locks").glob("[!.]*.json")]
    return any(claim.get("studies") != own for claim in claims)


@contextmanager
def _turn(folder: Path, results: Path) -> Iterator[None]:
    try:
        with locked(folder / "claims.lock", _PATIENCE):
            yield
    except Timeout:
        raise UserError(
            f"Another search has been looking at {folder} for {_PATIENCE:.0f} s; if none runs "
            f"there, a machine that shares {results} hangs."
        ) from None


def _refuse_held(folder: Path, wanted: set[str], results: Path) -> None:
    """Refuse studies that a claim of a living search names; sweep the claims of dead ones.

    Raises:
        UserError: there is such a claim.
    """
    now = _server_time(folder)
    for path in sorted(folder.glob("[!.]*.json")):
        claim = _read(path)
        held = sorted(wanted & set(claim.get("studies", ())))
        elsewhere = claim.get("host") != socket.gethostname()
        lock = path.with_suffix(".lock")
        try:
            with locked(lock, timeout=0):
                fresh = elsewhere and now - path.stat().st_mtime < FRESH
                if not fresh:
                    path.unlink(missing_ok=True)
                    lock.unlink(missing_ok=True)
        except FileNotFoundError:
            # It ended at this moment.
            continue
        except Timeout:
            fresh = True
        if fresh and held:
            holder = f"process {claim.get('process')} on {claim.get('host')}"
            raise UserError(
                f"Another search ({holder}) is working on {held[0]} in {results}; wait for it "
                "(lmd-bench watch shows it), or name another folder with --results. It claims "
                f"the study in {path}, which is free {FRESH:.0f} s after it has died."
            )


def _server_time(folder: Path) -> float:
    """Return the clock by which the folder's files are dated."""
    probe = folder / f".{uuid.uuid4().hex}.probe"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        claim = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return claim if isinstance(claim, dict) else {}


def _renew(claim: Path, over: threading.Event) -> None:
    while not over.wait(RENEWED):
        # A disk that is away for a moment does not end the search.
        with suppress(OSError):
            os.utime(claim)
