"""A server at which requests wait until they are served, and that counts who stands there."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.workflows.plans import plan_of


class Counter:
    """What steps call.

    Attributes:
        arrived: bodies in the order in which they came; most: how many stood there at once.
    """

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.most = self._standing = 0
        self._lock = threading.Lock()
        self._turn = threading.Semaphore(0)
        self._open = threading.Event()
        counter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                counter._come(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.close_connection = True
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.send_header("Connection", "close")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _come(self, body: str) -> None:
        with self._lock:
            self.arrived.append(body)
            self._standing += 1
            self.most = max(self.most, self._standing)
        if not self._open.is_set():
            self._turn.acquire(timeout=20)
        with self._lock:
            self._standing -= 1

    def serve(self, count: int = 1) -> None:
        """Let so many go on."""
        self._turn.release(count)

    def open(self) -> None:
        """Let everybody go on who stands there or comes later."""
        self._open.set()
        self._turn.release(1000)

    def close(self) -> None:
        self.open()
        self._server.shutdown()
        self._server.server_close()

    def call(self, step_id: str, body: str = "", name: str = "Call") -> dict[str, Any]:
        """Return a step that calls, and must happen at most once."""
        config = {
            "method": "POST",
            "url": f"http://127.0.0.1:{self.port}/",
            "body": {"as": "text", "value": body or step_id},
        }
        return {"id": step_id, "kind": "http", "name": name, "with": config}

    def plan(self, *bodies: str) -> dict[str, Any]:
        """Return a plan of calls, one after the other."""
        return plan_of(*(self.call(f"s_{n}", body) for n, body in enumerate(bodies, 1)))
