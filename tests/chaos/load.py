"""Clients that start runs all the time, as patient as clients should be."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.client import Client
from tests.chaos.stack import Stack


class Load:
    """Starts runs of a workflow from several threads, each under a key of its own."""

    def __init__(self, stack: Stack, workflow: str, name: str, *, pause_s: float = 0.0) -> None:
        self.runs: list[str] = []
        self.slowest_s = 0.0
        self.failures: list[str] = []
        self._stack = stack
        self._workflow = workflow
        self._name = name
        self._pause_s = pause_s
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._lock = threading.Lock()

    def work(self) -> None:
        client = Client(self._stack.url, self._stack.key)
        while not self._over.is_set():
            name = f"{self._name}{next(self._numbers)}"
            began = time.monotonic()
            try:
                self.runs.append(client.start(self._workflow, f"key-{name}", name=name))
            except Exception as error:  # noqa: BLE001  whatever it is, the row has to tell of it
                self.failures.append(f"{name}: {error!r}")
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self._over.wait(self._pause_s)
        with self._lock:
            self._stack.answers += client.answers
            self._stack.starts |= client.starts

    def stop(self) -> None:
        self._over.set()


@contextmanager
def loaded(
    stack: Stack, workflow: str, name: str, clients: int = 4, pause_s: float = 0.0
) -> Iterator[Load]:
    """Start runs while the block is at work; behind it every start has been answered."""
    load = Load(stack, workflow, name, pause_s=pause_s)
    threads = [threading.Thread(target=load.work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join()
