"""A web server on this machine that fails as real ones do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What is served, and how."""

    files: dict[str, bytes]
    cut_after: list[int] = field(default_factory=list)  # bytes of each of the next answers
    redirects: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)  # of the next answers, in place of files
    parts: bool = True  # whether the server knows ranges
    mark: str | None = '"v1"'
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and range
    url: str = ""


@contextmanager
def served(site: Site) -> Iterator[Site]:
    """Serve a site on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            content = site.files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()

        def do_GET(self) -> None:
            span = self.headers.get("Range")
            site.asked.append((self.path, span))
            if self.path in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[self.path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = site.files.get(self.path)
            if site.statuses or content is None:
                self.send_response(site.statuses.pop(0) if site.statuses else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = 0
            same = self.headers.get("If-Range") in (None, site.mark)
            if span and site.parts and same:
                start = int(span.removeprefix("bytes=").rstrip("-"))
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            else:
                self.send_response(200)
            if site.mark:
                self.send_header("ETag", site.mark)
            body = content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: site.cut_after.pop(0)] if site.cut_after else body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
