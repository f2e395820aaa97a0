"""A model server that speaks OpenAI's chat protocol, and writes down every call before it answers.

It counts four characters as a token and writes exactly as many tokens as it may, so that what is
reserved for a call is what the call costs: an estimate that was charged for a lost call can be
compared with the server's books to the last nano-dollar.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

PIECES = 5


@dataclass(frozen=True, slots=True)
class Call:
    tokens_in: int
    tokens_out: int


class Model:
    """Answers on a free port; `calls` holds what arrived.

    Who says "hang" gets the first word after `hangs_s`.
    """

    def __init__(self, hangs_s: float = 0.0) -> None:
        self._lock = Lock()
        self._calls: list[Call] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                call = model._note(asked)
                if hangs_s and asked["messages"][-1]["content"] == "hang":
                    time.sleep(hangs_s)
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for _ in range(PIECES):
                    self._say([{"index": 0, "delta": {"role": "assistant", "content": "Yes. "}}])
                self._say([{"index": 0, "delta": {}, "finish_reason": "stop"}])
                usage = {
                    "prompt_tokens": call.tokens_in,
                    "completion_tokens": call.tokens_out,
                    "total_tokens": call.tokens_in + call.tokens_out,
                }
                self._say([], usage=usage)
                self.wfile.write(b"data: [DONE]\n\n")

            def _say(self, choices: list[dict[str, Any]], **more: Any) -> None:
                chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                told = json.dumps(chunk | {"choices": choices} | more)
                self.wfile.write(f"data: {told}\n\n".encode())
                self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def env(self) -> dict[str, str]:
        """What a Deckhand needs to be told to ask this server."""
        return {
            "MODEL_BASE_URL": f"http://127.0.0.1:{self.port}/v1",
            "MODEL_NAME": "stub",
            "MODEL_API_KEY": "k",
            "OUTBOUND_ALLOW": f"127.0.0.1/32:{self.port}",
        }

    def _note(self, asked: dict[str, Any]) -> Call:
        length = sum(len(message["content"]) for message in asked["messages"])
        call = Call(length // 4, int(asked.get("max_completion_tokens", PIECES)))
        with self._lock:
            self._calls.append(call)
        return call

    @property
    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has died: that is what these tests are about."""
