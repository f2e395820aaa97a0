"""A small load driver: threads with kept connections, each sending one request after another."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Outcome:
    """What a load reached: seconds of each request, and of all together."""

    took_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    errors: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        return len(self.took_s) / self.wall_s if self.wall_s else 0.0


def start_runs(
    port: int, key: str, workflow: str, at_once: int, count: int, inputs: dict[str, Any]
) -> Outcome:
    """Start `count` runs, `at_once` at a time, each answered when it is finished."""
    outcome, lock = Outcome(), threading.Lock()
    numbers = itertools.count()
    body = json.dumps({"inputs": inputs}).encode()
    headers = {"X-API-Key": key, "Content-Type": "application/json", "Prefer": "wait=10"}
    path = f"/api/v1/workflows/{workflow}/run"

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while next(numbers) < count:
            began = time.perf_counter()
            connection.request("POST", path, body, headers | {"Idempotency-Key": uuid.uuid4().hex})
            answer = connection.getresponse()
            content = answer.read()
            took = time.perf_counter() - began
            with lock:
                if answer.status == 200:
                    outcome.took_s.append(took)
                else:
                    outcome.errors.append((answer.status, content[:200]))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.wall_s = time.perf_counter() - began
    return outcome
