"""D19: pages tell the truth. Their sockets break while parts die, and they catch up as documented.

What a page does (UX.md 8.6): join with the last number it knows, take the next number, drop what
it knows, and ask for what lies between when a number is missing. It joins again when it is told
that something was not told, and asks by itself every 30 s.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import socketio

from tests.chaos import plans
from tests.chaos.client import PATIENCE_S, Client
from tests.chaos.people import sign_in
from tests.chaos.places import Place
from tests.chaos.stack import Stack
from webapp.live.bell import MISSED

Figures = dict[str, Any]
LIVE = "/live"
PAGES = 4
LATE_S = 10.0
SAFETY_S = 30.0
OVER: Final = {"run.done", "run.failed", "run.cancelled", "run.needs_review"}


class Page:
    """The page of one run, with a socket of its own."""

    def __init__(self) -> None:
        self.run = ""
        self.connections = 0
        self.broken: list[str] = []
        self.told: list[dict[str, Any]] = []
        """The events that it has taken, in order."""
        self.asked = 0
        """How often it looked by itself, without having been told."""
        self._seen: set[tuple[int, str, int]] = set()
        self._rings: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._client = socketio.Client(
            reconnection_delay=1, reconnection_delay_max=30, randomization_factor=0.5
        )
        self._client.on("connect", self._connected, namespace=LIVE)
        self._client.on("*", self._heard, namespace=LIVE)

    def open(self, url: str, cookie: str) -> None:
        """Connect; whoever opens a page while the web is dead loads it again."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._client.connect(
                    url, {"Cookie": f"sid={cookie}"}, transports=["websocket"], namespaces=[LIVE]
                )
                return
            except socketio.exceptions.ConnectionError:
                assert time.monotonic() < until, "no socket opens"
                time.sleep(0.2)

    def _connected(self) -> None:
        self.connections += 1
        self._rings.put(None)

    def _heard(self, name: str, event: dict[str, Any]) -> None:
        if name == MISSED:
            self._rings.put(None)
            return
        number = (self.connections, str(event["room"]), int(event["seq"]))
        if number in self._seen:
            self.broken.append(f"{name} came twice on one connection: {number}")
        self._seen.add(number)
        self._rings.put(event)

    def follow(self, over: threading.Event) -> float | None:
        """Return when the run's end was heard; None when there was no time for it."""
        look_at = time.monotonic() + SAFETY_S
        while not over.is_set():
            try:
                self._hear(self._rings.get(timeout=0.2))
            except queue.Empty:
                if time.monotonic() > look_at:
                    self.asked += 1
                    look_at = time.monotonic() + SAFETY_S
                    self._catch_up()
            if self.told and self.told[-1]["type"] in OVER:
                return time.time()
        return None

    @property
    def _last(self) -> int:
        return int(self.told[-1]["seq"]) if self.told else 0

    def _join(self) -> None:
        answer = self._call("join", after=self._last)
        if answer.get("ok") and answer["behind"]:
            self._catch_up()

    def _hear(self, event: dict[str, Any] | None) -> None:
        if event is None:
            self._join()
        elif event["room"] == f"run:{self.run}":
            self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        if event["seq"] == self._last + 1:
            self.told.append(event)
        elif event["seq"] > self._last:
            self._catch_up()

    def _catch_up(self) -> None:
        answer = self._call("replay", after=self._last)
        for event in answer.get("events", []):
            if event["seq"] != self._last + 1:
                self.broken.append(f"{self.run}: behind {self._last} comes {event['seq']}")
            self.told.append(event)

    def _call(self, name: str, **asked: Any) -> dict[str, Any]:
        """Ask over the socket; nothing when it breaks: the next connection asks again."""
        asked["room"] = f"run:{self.run}"
        with contextlib.suppress(socketio.exceptions.SocketIOError):
            answer: dict[str, Any] = self._client.call(name, asked, namespace=LIVE, timeout=5)
            if answer.get("code") == "busy":  # the database is, and the page polls on
                threading.Timer(1.0, self._rings.put, [None]).start()
            elif not answer["ok"]:
                self.broken.append(f"{name} was refused: {answer['code']}")
            return answer
        return {}

    def close(self) -> None:
        self._client.shutdown()


class Reader:
    """Somebody who starts run after run and watches each to its end, on one page."""

    def __init__(self, stack: Stack, workflow: str, cookie: str, name: str) -> None:
        self.pages: list[Page] = []
        self.client = Client(stack.url, stack.key)
        self.ends: dict[str, float] = {}
        """When the end of each run was heard."""
        self._stack, self._workflow, self._cookie, self._name = stack, workflow, cookie, name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    @property
    def reconnects(self) -> int:
        return sum(max(0, page.connections - 1) for page in list(self.pages))

    @property
    def broken(self) -> list[str]:
        return [sentence for page in self.pages for sentence in page.broken]

    def _work(self) -> None:
        number = 0
        while not self._over.is_set():
            name = f"{self._name}x{number}"
            number += 1
            page = Page()
            self.pages.append(page)
            try:
                page.run = run = self.client.start(self._workflow, f"key-{name}", name=name)
                page.open(self._stack.url, self._cookie)
                heard = page.follow(self._over)
                if heard is not None:
                    self.ends[run] = heard
                    self._compare(page)
            except Exception as error:  # noqa: BLE001  whatever it is, the row has to tell of it
                page.broken.append(f"{name}: {error!r}")
            finally:
                page.close()

    def _compare(self, page: Page) -> None:
        """Hold what the page has taken against what the database says."""
        kept = self.client.until("GET", f"/api/v1/runs/{page.run}/logs?limit=200")["items"]
        wanted = [(one["seq"], one["type"]) for one in kept]
        taken = [(one["seq"], one["type"]) for one in page.told]
        if taken != wanted:
            page.broken.append(f"{page.run}: the page has {taken}, the database {wanted}")
        if [seq for seq, _ in wanted] != list(range(1, len(wanted) + 1)):
            page.broken.append(f"{page.run}: the database has gaps: {wanted}")

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


@contextlib.contextmanager
def reading(stack: Stack, workflow: str, name: str = "page") -> Iterator[list[Reader]]:
    """Let people watch while the block is at work."""
    cookie = sign_in(stack, name=name)
    readers = [Reader(stack, workflow, cookie, f"{name}{n}") for n in range(PAGES)]
    try:
        yield readers
        time.sleep(LATE_S)  # of service, for the last ends to be heard
    finally:
        for reader in readers:
            reader.stop()
    for reader in readers:
        stack.starts |= reader.client.starts
        stack.answers += reader.client.answers


def reconnects(place: Place, times: int) -> Figures:
    """D19: web, worker and Valkey die in turn until the pages have come back so often."""
    with place.stack(lease_s=4) as (stack, sink):
        away: list[tuple[float, float]] = []
        deaths: Counter[str] = Counter()
        with reading(stack, stack.live("Watched", plans.chain(sink.url, 50))) as readers:
            while sum(reader.reconnects for reader in readers) < times:
                time.sleep(random.uniform(0.5, 4))
                part = random.choice(("web", "web", "worker", "valkey"))
                down = time.time()
                _die(stack, part, random.choice((0.0, 0.0, 1.5)))
                away.append((down, time.time()))
                deaths[part] += 1
        verdict = place.verdict(stack, sink)
        late = [_late(stack, run, at, away) for one in readers for run, at in one.ends.items()]
        verdict["broken"] += [sentence for one in readers for sentence in one.broken]
        if max(late) > LATE_S:
            verdict["broken"].append(f"a page said the end {max(late):.1f} s of service later")
        told = {"reconnects": sum(one.reconnects for one in readers), "deaths": dict(deaths)}
        told |= {"watched_to_the_end": len(late), "latest_end_s": round(max(late), 2)}
        told["looked_untold"] = sum(page.asked for one in readers for page in one.pages)
        return told | verdict


def _die(stack: Stack, part: str, away_s: float) -> None:
    if part == "valkey":
        stack.valkey.kill()
        time.sleep(away_s)
        stack.valkey.start()
        return
    stack.kill(part)
    time.sleep(away_s)
    stack.begin(part)
    stack.answers_again()


def _late(stack: Stack, run: str, heard: float, away: list[tuple[float, float]]) -> float:
    """Return for how long all parts were there between the end of a run and its being heard."""
    finished = stack.until("GET", f"/api/v1/runs/{run}")["finished_at"]
    ended = datetime.fromisoformat(finished).timestamp()
    gone = sum(max(0.0, min(up, heard) - max(down, ended)) for down, up in away)
    return max(0.0, heard - ended - gone)
