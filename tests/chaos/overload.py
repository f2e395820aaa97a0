"""Row L1 of SECURITY.md 3.2: ten times what the machine can do is refused early, not lost late."""

from __future__ import annotations

import http.client
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.load import start_runs
from bench.measure import quantile
from tests.chaos.flood import flooded
from tests.chaos.history_check import check
from tests.chaos.house import House
from tests.chaos.places import Place, Server
from tests.chaos.usage import usage

Figures = dict[str, Any]
TIMES: Final = 10
AT_ONCE: Final = 8
WARM: Final = 300
MEASURED: Final = 1500
STEPS: Final = 5
HEALTH_S: Final = 1.0
LOOK_S: Final = 0.25
NORMAL_S: Final = 30.0
QUICK_S: Final = 0.25
GROWTH: Final = 0.2
DONE_S: Final = 300.0


def overload(place: Place, seconds: int) -> Figures:
    """L1: so many seconds of ten times the measured capacity, by starts that do not wait."""
    server = Server() if place.postgres else None
    with tempfile.TemporaryDirectory() as folder:
        env = {"DATABASE_URL": server.create()} if server else {}
        house = House(Path(folder), workers=None, LOG_LEVEL="warning", **env)
        house.boot()
        try:
            return _row(house, seconds)
        finally:
            house.stop()
            if server is not None:
                server.stop()


def _row(house: House, seconds: int) -> Figures:
    workflow = house.live("Texts", _texts())
    start_runs(house.port, house.key, workflow, AT_ONCE, WARM, {"name": "x"})
    quiet = start_runs(house.port, house.key, workflow, AT_ONCE, MEASURED, {"name": "x"})
    rate = TIMES * quiet.per_s
    with _watched(house) as watch:
        told = flooded(house, workflow, rate, seconds, "flood")
    over = time.monotonic()
    broken = _answers_again(house, workflow, over)
    normal_s = time.monotonic() - over
    broken += _all_done(house, told["starts"])
    line_s = time.monotonic() - over
    growth = max(watch.rss_mib) / watch.rss_mib[0] - 1
    broken += _wrong(told, watch, growth)
    return {
        "capacity_per_s": round(quiet.per_s),
        "offered_per_s": round(rate),
        "seconds": seconds,
        "sent": told["sent"],
        "unsent": told["unsent"],
        "statuses": told["statuses"],
        "accepted_ms": _quantiles(told["accepted_ms"]),
        "refused_ms": _quantiles(told["refused_ms"]),
        "health_ms": _quantiles([took_s * 1000 for took_s in watch.health_s]),
        "health_late": f"{sum(s > HEALTH_S for s in watch.health_s)} of {len(watch.health_s)}",
        "rss_mib": [watch.rss_mib[0], max(watch.rss_mib)],
        "normal_after_s": round(normal_s, 1),
        "line_empty_after_s": round(line_s, 1),
        "broken": broken[:20],
    }


def _texts() -> dict[str, Any]:
    steps = [
        {"id": f"s_{n}", "kind": "text", "name": "Say", "with": {"text": f"Hello {n}"}}
        for n in range(STEPS)
    ]
    name = {"name": "name", "label": "Name", "type": "text", "required": True}
    return {"plan": 1, "inputs": [name], "steps": steps}


class Watch:
    """What the health of the machine was like, and the memory of its parts."""

    def __init__(self, house: House) -> None:
        self.rss_mib = [usage([house.pids()[0]]).rss_mib]
        self.health_s: list[float] = []
        self._house = house
        self.over = threading.Event()

    def look(self) -> None:
        """Look until it is over, each time as somebody new."""
        for number in itertools.count():
            self.health_s.append(_asked_s(self._house.port))
            if number % 8 == 0:
                self.rss_mib.append(usage([self._house.pids()[0]]).rss_mib)
            if self.over.wait(LOOK_S):
                return


@contextmanager
def _watched(house: House) -> Iterator[Watch]:
    watch = Watch(house)
    thread = threading.Thread(target=watch.look)
    thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        thread.join()


def _asked_s(port: int, path: str = "/health", **head: str) -> float:
    """Return how long a request took on a connection of its own; 99 if it came to nothing."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=head)
        answer = connection.getresponse()
        answer.read()
        return time.monotonic() - began if answer.status == 200 else 99.0
    except (OSError, http.client.HTTPException):
        return 99.0
    finally:
        connection.close()


def _answers_again(house: House, workflow: str, over: float) -> list[str]:
    """Return when starts are accepted and questions answered as quickly as ever."""
    for number in itertools.count():
        path, body = f"/api/v1/workflows/{workflow}/run", {"inputs": {"name": "again"}}
        key = f"again-{number}"
        began = time.monotonic()
        status, _ = house.call("POST", path, body, Idempotency_Key=key)
        took_s = time.monotonic() - began
        list_s = _asked_s(house.port, "/api/v1/runs", **{"X-API-Key": house.key})
        if status == 202 and took_s < QUICK_S and list_s < QUICK_S:
            return []
        if time.monotonic() - over > NORMAL_S:
            return [f"{NORMAL_S:.0f} s later a start is answered {status} in {took_s:.2f} s"]
        time.sleep(0.1)
    raise AssertionError


def _all_done(house: House, starts: dict[str, str]) -> list[str]:
    """Return what is broken once every run has ended, or when patience has."""
    until = time.monotonic() + DONE_S
    while True:
        waiting = house.until("GET", "/api/v1/runs?state=queued&limit=1")["items"]
        working = house.until("GET", "/api/v1/runs?state=running&limit=1")["items"]
        if not (waiting or working) or time.monotonic() > until:
            break
        time.sleep(0.5)
    told = house.history()
    broken = check(told, starts, [])
    lost = sum(1 for run in told["runs"] if run["state"] != "done")
    return broken + ([f"{lost} runs are not done"] if lost else [])


def _wrong(told: Figures, watch: Watch, growth: float) -> list[str]:
    broken = []
    odd = {status: n for status, n in told["statuses"].items() if status not in _MEANT}
    if odd:
        broken.append(f"answers that nobody can use: {odd}")
    if told["without_retry_after"]:
        broken.append(f"{told['without_retry_after']} refusals do not say when to come back")
    if not told["starts"]:
        broken.append("nothing was accepted")
    if max(watch.health_s) > HEALTH_S:
        broken.append(f"/health took {max(watch.health_s):.1f} s")
    if growth > GROWTH:
        broken.append(f"memory grew by {growth:.0%}")
    return broken


_MEANT: Final = {"202", "429", "503"}


def _quantiles(values: list[float]) -> dict[str, int]:
    return {f"p{q}": round(quantile(values, q / 100)) for q in (50, 95, 100)} if values else {}
