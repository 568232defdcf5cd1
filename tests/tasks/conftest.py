"""What the tests of tasks share: PyTorch, and a real web server for the downloads."""

import gzip
import hashlib
import random
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Site:
    """What the server serves, how it misbehaves, and what it was asked."""

    body: bytes
    url: str = ""
    honours_range: bool = True
    break_after: list[int] = field(default_factory=list)  # bytes to send before hanging up, in turn
    statuses: list[int] = field(default_factory=list)  # refusals to answer with, in turn
    before_byte: object = None  # called with the position before each kilobyte
    ranges: list[str | None] = field(default_factory=list)  # the Range header of each request
    sent: list[int] = field(default_factory=list)  # body bytes given to each request

    @property
    def sha256(self):
        plain = gzip.decompress(self.body) if self.body.startswith(b"\x1f\x8b") else self.body
        return hashlib.sha256(plain).hexdigest()


def _handler(site):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            asked = self.headers.get("Range")
            site.ranges.append(asked)
            site.sent.append(0)
            if site.statuses:
                self.send_error(site.statuses.pop(0))
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            if not site.honours_range:
                start, asked = 0, None
            if asked and start >= len(site.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(site.body)}")
                self.end_headers()
                return
            body = site.body[start:]
            self.send_response(206 if asked else 200)
            if asked:
                last = len(site.body) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(site.body)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self._send(body[: site.break_after.pop(0)] if site.break_after else body)

        def _send(self, body):
            for at in range(0, len(body), 1024):
                if site.before_byte:
                    site.before_byte(at)
                self.wfile.write(body[at : at + 1024])
                site.sent[-1] += len(body[at : at + 1024])

    return Handler


@pytest.fixture
def torch():
    """PyTorch on one thread: on a busy machine its threads wait for each other more than work."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""


@pytest.fixture
def site(monkeypatch):
    """A running server with 50 kB that do not compress."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    site = Site(random.Random(0).randbytes(50_000))
    with Server(("127.0.0.1", 0), _handler(site)) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/file"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()
