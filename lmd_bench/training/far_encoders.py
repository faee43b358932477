"""Encoders on a mirror: what one machine has trained, another fetches, and none trains it twice."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from lmd_bench.store.mirror import Mirror, far_claim, far_claims, renew

FRESH = 1800.0  # seconds without an epoch, after which a machine that trains is taken for dead
RENEWED = 60.0  # seconds between two renewals, at the end of an epoch
POLL = 10.0  # seconds between two looks at whether the other has ended
MARKER = "encoder.json"


class FarEncoder:
    """One encoder on a mirror."""

    def __init__(self, mirror: Mirror, key: str) -> None:
        """Look for the encoder of that key."""
        self._mirror = mirror
        self._name = f"encoders/{key}"
        self._claims = f"encoders/.{key}.claims"
        self._own = ""
        self._renewed = 0.0

    def fetch(self) -> bool:
        """Fetch it; return whether it was there. A mirror that does not answer has none."""
        with suppress(OSError):
            return self._mirror.fetch_folder(self._name, MARKER)
        return False

    def push(self) -> None:
        """Put it there; a mirror that does not answer goes without."""
        with suppress(OSError):
            self._mirror.push_folder(self._name, MARKER)

    @contextmanager
    def turn(self, on_wait: Callable[[], None]) -> Iterator[bool]:
        """Wait while another machine trains it; yield whether it is to be trained here."""
        if self.fetch():
            yield False
            return
        owner = {"host": socket.gethostname(), "process": os.getpid()}
        with far_claim(self._mirror, self._claims, owner, fresh=FRESH) as (name, before):
            self._own, waiting = name, set(before)
            while waiting:
                on_wait()
                time.sleep(POLL)
                if self.fetch():
                    break
                renew(self._mirror, self._claims, name)
                claims = far_claims(self._mirror, self._claims)
                waiting &= {other for other, claim in claims.items() if claim.silent < FRESH}
            yield not waiting and not self.fetch()

    def alive(self) -> None:
        """Show that this machine still trains it."""
        if time.monotonic() - self._renewed > RENEWED:
            self._renewed = time.monotonic()
            with suppress(OSError):
                renew(self._mirror, self._claims, self._own)
