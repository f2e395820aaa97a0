"""An HTTP server that counts effects: what arrived, with which key and bytes, and when."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as the outside saw it; `at` is wall time in seconds."""

    path: str
    key: str
    body: str
    at: float


class Sink:
    """Answers every PUT and POST after `pause_s`, and remembers it before answering.

    A path that ends with /cut has its effect, and then the line is cut.
    """

    def __init__(self, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s
        self._arrivals: list[Arrival] = []
        self._lock = threading.Lock()
        self._server = _listen(self._handler())
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def arrivals(self, prefix: str) -> list[Arrival]:
        with self._lock:
            return [arrival for arrival in self._arrivals if arrival.path.startswith(prefix)]

    def all(self) -> list[Arrival]:
        """Return everything that came, in order."""
        return self.arrivals("")

    def waits_for(self, prefix: str, seconds: float = 30.0) -> None:
        """Return when something came whose path begins so."""
        self.waits_for_more(prefix, 1, seconds)

    def waits_for_more(self, prefix: str, places: int, seconds: float = 30.0) -> None:
        """Return when something came to so many paths that begin so."""
        until = time.monotonic() + seconds
        while len({one.path for one in self.arrivals(prefix)}) < places:
            assert time.monotonic() < until, f"nothing came to {prefix}"
            time.sleep(0.01)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _note(self, path: str, key: str, body: bytes) -> None:
        digest = hashlib.sha256(body).hexdigest()
        with self._lock:
            self._arrivals.append(Arrival(path, key, digest, time.time()))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        note, pause_s = self._note, self.pause_s

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                wanted = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(wanted)
                if len(body) < wanted:  # its sender died in the middle: nothing has happened
                    self.close_connection = True
                    return
                note(self.path, self.headers.get("Idempotency-Key", ""), body)
                if self.path.endswith("/cut"):  # it has happened, and nobody will be told
                    self.close_connection = True
                    return
                time.sleep(pause_s)  # the effect takes as long as the test wants
                answer = b'{"ok":true}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_PUT  # noqa: N815  http.server names it

            def log_message(self, format: str, *args: object) -> None:
                return None

        return Handler


def _listen(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """Take the first free port of the range that the tests open with OUTBOUND_ALLOW."""
    last: OSError | None = None
    for port in range(9000, 10_000):
        try:
            server = _Quiet(("127.0.0.1", port), handler)
        except OSError as error:
            last = error
            continue
        server.daemon_threads = True
        return server
    raise last or OSError("no free port between 9000 and 9999")


class _Quiet(ThreadingHTTPServer):
    """A client that was killed in the middle of a request is what we are here for."""

    allow_reuse_address = False
    request_queue_size = 512  # with the usual 5 it is the sink that fails under load

    def handle_error(self, request: object, client_address: object) -> None:
        return None
