"""A server that counts what is sent to it."""

from __future__ import annotations

import http.server
import threading
from typing import Any

Doc = dict[str, Any]


class Sink(http.server.ThreadingHTTPServer):
    """Counts what is sent and read, gives what it is told to give, refuses what it is told to
    refuse, and keeps silent while it is to.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hand)
        self.sent: list[str] = []
        self.read: list[str] = []
        self.gives: dict[str, bytes] = {}
        self.keys: list[str | None] = []
        self.runs: list[str | None] = []
        self.refused: set[str] = set()
        self.speaks = threading.Event()
        self.speaks.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Hand(http.server.BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.sent.append(self.path)
        self.server.keys.append(self.headers.get("Idempotency-Key"))
        self.server.runs.append(self.headers.get("X-Run-Id"))
        self.server.speaks.wait()
        body = f'{{"number": {len(self.server.sent)}}}'.encode()
        self.send_response(400 if self.path in self.server.refused else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.read.append(self.path)
        if self.path not in self.server.gives:
            self.send_error(501)
            return
        self.server.speaks.wait()
        body = self.server.gives[self.path]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return None


def post(step_id: str, url: str) -> Doc:
    return {"id": step_id, "kind": "http", "name": url[-5:], "with": {"method": "POST", "url": url}}


def read(step_id: str, url: str) -> Doc:
    return {"id": step_id, "kind": "http", "name": url[-5:], "with": {"method": "GET", "url": url}}
