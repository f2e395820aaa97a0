"""A server that takes a request and hangs up without an answer."""

from __future__ import annotations

import socket
import threading


class Silent:
    """Listens on a port that the tests' Deckhand may reach."""

    def __init__(self) -> None:
        self._socket = _listen()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/orders"
        threading.Thread(target=self._hang_up, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _hang_up(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            with caller:
                caller.recv(65_536)


def _listen() -> socket.socket:
    for port in range(9000, 10_000):
        try:
            return socket.create_server(("127.0.0.1", port), reuse_port=False)
        except OSError:
            continue
    raise OSError("no free port between 9000 and 9999")
