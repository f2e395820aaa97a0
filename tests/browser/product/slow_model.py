"""A model server that speaks the chat-completions protocol and writes only as far as it may."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

FIRST, REST = "Once upon a time ", "everything went well."


class SlowModel:
    """Writes FIRST at once and REST after `go_on`."""

    def __init__(self, port: int) -> None:
        self._may_end = Event()
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self._say({"role": "assistant", "content": FIRST})
                model._may_end.wait(60)
                self._say({"content": REST})
                self._say({}, "stop")
                self.wfile.write(b"data: [DONE]\n\n")

            def _say(self, delta: dict[str, str], finish: str | None = None) -> None:
                choice = {"index": 0, "delta": delta, "finish_reason": finish}
                chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                self.wfile.write(f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n".encode())
                self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def go_on(self) -> None:
        self._may_end.set()

    def close(self) -> None:
        self.go_on()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
