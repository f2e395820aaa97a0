"""Row L4 of SECURITY.md 3.2: hundreds who send a byte now and then keep nobody else waiting."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from bench.measure import quantile
from tests.chaos.places import Place
from tests.chaos.stack import Stack

Figures = dict[str, Any]
LASTS_S: Final = 30.0
BYTE_EVERY_S: Final = 5.0
LOOK_S: Final = 0.1
MOST_S: Final = 1.0
FREE: Final = 64
PATHS: Final = ("/health", "/api/v1/workflows")


def drips(place: Place, times: int) -> Figures:
    """L4: so many sockets send a byte every 5 s. Bare, it takes a thread for each, and some more."""
    threads = times + FREE
    with place.stack(lease_s=15, WEB_THREADS=str(threads)) as (stack, sink):
        took_s, odd = [], []
        with _dripping(stack, times):
            until = time.monotonic() + LASTS_S
            while time.monotonic() < until:
                for path in PATHS:
                    began = time.monotonic()
                    status, _ = stack.call("GET", path)
                    took_s.append(time.monotonic() - began)
                    odd += [f"{path} was answered {status}"] if status != 200 else []
                time.sleep(LOOK_S)
        verdict = place.verdict(stack, sink)
        p95_s = quantile(took_s, 0.95)
        if p95_s > MOST_S:
            odd.append(f"others waited for {p95_s:.1f} s (p95)")
        verdict["broken"] += odd[:10]
        figures = {"sockets": times, "threads": threads, "asked": len(took_s)}
        return (
            figures | {"p95_ms": round(p95_s * 1000), "max_ms": round(max(took_s) * 1000)} | verdict
        )


@contextmanager
def _dripping(stack: Stack, count: int) -> Iterator[None]:
    """Keep so many requests on their way, each of which never comes to its end."""
    head = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\nX-Slow: {'x' * 100}".encode()
    with contextlib.ExitStack() as open_sockets:
        wires = [
            open_sockets.enter_context(socket.create_connection(("127.0.0.1", stack.port)))
            for _ in range(count)
        ]
        over = threading.Event()

        def drip() -> None:
            for place in range(len(head)):
                for wire in wires:
                    with contextlib.suppress(OSError):  # cut by the other side
                        wire.send(head[place : place + 1])
                if over.wait(BYTE_EVERY_S):
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
