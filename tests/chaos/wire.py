"""One HTTP request over a socket of its own, for bodies that a client would rather not send."""

from __future__ import annotations

import http.client
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PIECE: Final = 64 * 1024
PATIENCE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Asked:
    """How it was answered, 0 for not at all, and how long after the first byte was sent."""

    status: int
    took_s: float
    head: Mapping[str, str]


def ask(
    port: int, method: str, path: str, head: Mapping[str, str], body: bytes, in_chunks: bool = False
) -> Asked:
    """Send a request, as far as the other side listens, and return how it was answered."""
    length = "Transfer-Encoding: chunked" if in_chunks else f"Content-Length: {len(body)}"
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", length]
    lines += [f"{name}: {value}" for name, value in head.items()]
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as wire:
        began = time.monotonic()
        wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        _send(wire, body, in_chunks=in_chunks)
        answer = http.client.HTTPResponse(wire, method=method)
        try:
            answer.begin()
            return Asked(answer.status, time.monotonic() - began, dict(answer.headers))
        except (OSError, http.client.HTTPException):
            return Asked(0, time.monotonic() - began, {})


def _send(wire: socket.socket, body: bytes, *, in_chunks: bool) -> None:
    """Send a body; stop when an answer comes first, as clients should."""
    view = memoryview(body)
    try:
        for start in range(0, len(body), PIECE):
            if select.select([wire], [], [], 0)[0]:
                return
            piece = view[start : start + PIECE]
            if in_chunks:
                wire.sendall(f"{len(piece):x}\r\n".encode())
            wire.sendall(piece)
            if in_chunks:
                wire.sendall(b"\r\n")
        if in_chunks:
            wire.sendall(b"0\r\n\r\n")
    except OSError:
        return  # it listens no more; what it said is read next
