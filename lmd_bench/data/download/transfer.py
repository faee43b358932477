"""One file over HTTP into a part that grows: cut connections go on where they stopped."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lmd_bench.core.errors import DISK, UserError, file_error
from lmd_bench.data.table import PublishedFile

if TYPE_CHECKING:
    import requests

OnBytes = Callable[[str, int, int], None]
PAUSES = (1.0, 5.0, 15.0, 30.0)  # seconds before each further try
TIMEOUT = (15, 60)  # seconds: to connect, between bytes
_CHUNK = 2**16  # bytes; what a broken connection loses, at most
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})  # a server that may do it another time


class StoppedError(Exception):
    """Another file failed, or a person stopped: this one is not fetched further."""


class _CutError(Exception):
    """The server sent less than it said, or asked to come back."""


class Transfer:
    """Fetches a URL as pooch asks its downloaders to.

    What has come stays in `part` when a run ends, with the server's mark of its version, so that a
    later run asks for the rest alone, and for all where the file has changed meanwhile.
    """

    def __init__(
        self, part: Path, file: PublishedFile, on_bytes: OnBytes, stop: threading.Event
    ) -> None:
        """Prepare to fetch `file` into `part`; `stop` is set when others have failed."""
        self.part, self.file, self.on_bytes, self.stop = part, file, on_bytes, stop
        self.mark = part.with_suffix(".mark")

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Return what a file that cannot be fetched raises."""
        import requests

        return requests.RequestException, _CutError

    def cause(self, error: Exception) -> str:
        """Return what went wrong in a few words."""
        import requests

        if isinstance(error, requests.HTTPError) and error.response is not None:
            return f"the server says {error.response.status_code} {error.response.reason}"
        if isinstance(error, requests.Timeout):
            return "the server does not answer"
        if isinstance(error, requests.exceptions.ChunkedEncodingError):
            return "the connection broke"
        if isinstance(error, requests.ConnectionError):
            return "no connection to the server"
        return str(error)

    def __call__(
        self,
        fname: str,
        action: "str | os.PathLike[str] | None",
        pooch: object,
        *,
        check_only: bool | None = None,
    ) -> None:
        """Bring the file to where pooch wants it, in as many tries as PAUSES allows.

        Args:
            fname: Its URL; the names are those of pooch's own protocol.
            action: Where it is wanted.
            pooch: Not used here.
            check_only: Not used here.
        """
        import requests

        assert action is not None, "pooch names a file"

        for pause in (*PAUSES, None):
            try:
                self._fetch(fname)
                break
            except (
                requests.ConnectionError,
                requests.Timeout,
                requests.exceptions.ChunkedEncodingError,
                _CutError,
            ) as error:
                # A name that does not resolve is not there a minute later.
                nothing = not self.part.exists() and not isinstance(error, _CutError)
                if pause is None or nothing:
                    raise
                if self.stop.wait(pause):
                    raise StoppedError from None
        os.replace(self.part, action)
        self.mark.unlink(missing_ok=True)

    def _fetch(self, url: str) -> None:
        import requests

        there = self.part.stat().st_size if self.part.exists() else 0
        mark = self.mark.read_text() if self.mark.exists() else ""
        # As it is: a hash is of the file, not of what a server packs it into on the way.
        headers = {"Accept-Encoding": "identity"}
        # Without a mark the rest may be that of another version, which only a checksum tells.
        if there and (mark or self.file.checksum):
            headers["Range"] = f"bytes={there}-"
            if mark:
                headers["If-Range"] = mark
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()
                raise _CutError("the part that was here is not one of the file")
            if response.status_code in _LATER:
                raise _CutError(f"the server says {response.status_code} {response.reason}")
            response.raise_for_status()
            if url.startswith("https:") and not response.url.startswith("https:"):
                raise UserError(f"{url} leads to {response.url}, which is not encrypted; refused.")
            if not _continues(response, there):
                there = 0
            self._mark(response)
            self._receive(response, there)

    def _receive(self, response: "requests.Response", there: int) -> None:
        length = int(response.headers.get("Content-Length") or 0)
        total = there + length if length else self.file.n_bytes or 0
        try:
            with self.part.open("ab" if there else "wb") as file:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    there += len(chunk)
                    self.on_bytes(self.file.name, there, total)
                    if self.stop.is_set():
                        raise StoppedError
        except OSError as error:
            # A broken connection is one too, and has none of these numbers.
            if error.errno not in DISK:
                raise
            # So that the disk is not full of what cannot be used.
            self.part.unlink(missing_ok=True)
            raise file_error(f"{self.file.name} cannot be written", error) from error
        if total and there != total:
            if there > total:
                self.part.unlink()
            raise _CutError(f"{there:,} of {total:,} bytes came")

    def _mark(self, response: "requests.Response") -> None:
        etag = response.headers.get("ETag", "")
        # A weak one does not say that the bytes are the same.
        mark = etag if etag and not etag.startswith("W/") else ""
        if mark:
            self.mark.write_text(mark)
        else:
            self.mark.unlink(missing_ok=True)


def _continues(response: "requests.Response", there: int) -> bool:
    """Say whether what comes is the rest, and not all, since the server knows no parts."""
    return there > 0 and response.headers.get("Content-Range", "").startswith(f"bytes {there}-")


def length(url: str) -> int:
    """Return how many bytes a server says that a file has; 0 where it does not."""
    import requests

    try:
        headers = {"Accept-Encoding": "identity"}
        response = requests.head(url, headers=headers, timeout=TIMEOUT, allow_redirects=True)
        return int(response.headers.get("Content-Length") or 0) if response.ok else 0
    except (requests.RequestException, ValueError):
        return 0
