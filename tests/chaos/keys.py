"""D5: what an Idempotency-Key promises, but for the race of fifty (processes.py)."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from tests.chaos import plans
from tests.chaos.client import LATER, PATIENCE_S, Client
from tests.chaos.people import neighbor, rows
from tests.chaos.places import Place
from tests.chaos.processes import TEXT
from tests.chaos.stack import Stack
from webapp.access.idempotency import IdempotentAnswer
from webapp.access.tenancy import across_organizations

Figures = dict[str, Any]
HOUR_S = 3600
KILLS: Final = (
    "web.in_idempotency_insert",
    "web.after_insert_before_commit",
    "web.after_commit_before_response",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to the byte; 0 when nobody answered."""

    status: int
    body: bytes = b""
    replayed: str | None = None
    retry_after: str | None = None

    @property
    def told(self) -> Any:
        return json.loads(self.body or b"null")


class Asker:
    """Starts runs under keys, and notes what was not as promised."""

    def __init__(self, stack: Stack, workflow: str) -> None:
        self.stack = stack
        self.workflow = workflow
        self.broken: list[str] = []
        self.replays = 0

    def ask(self, key: str, name: str = "x", api_key: str = "", workflow: str = "") -> Answer:
        request = urllib.request.Request(
            f"{self.stack.url}/api/v1/workflows/{workflow or self.workflow}/run",
            method="POST",
            data=json.dumps({"inputs": {"name": name}}).encode(),
            headers={
                "X-API-Key": api_key or self.stack.key,
                "Content-Type": "application/json",
                "Idempotency-Key": key,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return _answer(answer.status, answer)
        except urllib.error.HTTPError as error:
            return _answer(error.code, error)
        except OSError:
            return Answer(0)

    def patiently(self, key: str) -> Answer:
        """Ask until it is answered, as a client does whose first question got lost."""
        until = time.monotonic() + PATIENCE_S
        while (answer := self.ask(key)).status in LATER and time.monotonic() < until:
            time.sleep(0.1)
        return self.is_started(key, answer)

    def is_started(self, key: str, answer: Answer) -> Answer:
        self.expect(answer.status == 202, f"{key}: {answer}")
        if answer.status == 202:
            self.stack.starts[key] = answer.told["id"]
        return answer

    def is_replayed(self, key: str, first: Answer) -> None:
        """Ask again: the same bytes, and a header that says so."""
        again = self.ask(key)
        self.replays += 1
        same = (again.status, again.body) == (first.status, first.body)
        self.expect(same, f"{key}: {again} is not {first}")
        self.expect(again.replayed == "true", f"{key}: not said to be a replay")

    def is_refused(self, status: int, code: str, answer: Answer) -> None:
        found = (answer.status, (answer.told or {}).get("code"))
        self.expect(found == (status, code), f"{found} instead of {(status, code)}")

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.broken.append(otherwise)


def _answer(status: int, answer: Any) -> Answer:
    replayed = answer.headers.get("Idempotency-Replayed")
    return Answer(status, answer.read(), replayed, answer.headers.get("Retry-After"))


def promises(place: Place, times: int) -> Figures:
    """D5: other bodies, long keys, neighbors, answers of 5xx, deaths, and the end of 72 hours."""
    with place.stack(lease_s=4) as (stack, sink):
        asker = Asker(stack, stack.live("Text", plans.of(TEXT)))
        for number in range(times):
            _ordinary(asker, f"key-{number}")
        unavailable = _answers_of_5xx(asker)
        for number in range(times):
            for point in KILLS:
                _killed(asker, point, f"{point}-{number}")
        _aged(asker)
        verdict = place.verdict(stack, sink)
        _neighbors(asker, times)  # behind the verdict, which holds one organization's keys
        verdict["broken"] += asker.broken[:20]
        figures = {"rounds": times, "replays": asker.replays, "killed": times * len(KILLS)}
        return figures | {"5xx_first": unavailable} | verdict


def _ordinary(asker: Asker, key: str) -> None:
    asker.is_replayed(key, asker.is_started(key, asker.ask(key)))
    asker.is_refused(422, "E-IDEM-OTHER", asker.ask(key, name="another"))
    asker.is_refused(400, "E-IDEM-LONG", asker.ask(key.ljust(256, "x")))
    longest = key.ljust(255, "y")
    asker.is_replayed(longest, asker.is_started(longest, asker.ask(longest)))
    asker.is_refused(400, "E-IDEM-MISSING", asker.ask(""))


def _neighbors(asker: Asker, times: int) -> None:
    """Another organization uses the same keys: its runs are its own."""
    key = neighbor(asker.stack, "neighbor")
    workflow = Client(asker.stack.url, key).live("Text", plans.of(TEXT))
    theirs = set()
    for number in range(times):
        answer = asker.ask(f"key-{number}", api_key=key, workflow=workflow)
        asker.expect(answer.status == 202 and not answer.replayed, f"neighbor: {answer}")
        theirs.add(str((answer.told or {}).get("id")))
    asker.expect(len(theirs) == times, "a neighbor's keys shared runs")
    asker.expect(not theirs & set(asker.stack.starts.values()), "a neighbor got one of our runs")


def _answers_of_5xx(asker: Asker) -> int:
    """Nothing is kept of an answer 503: the same key does the work once the database is back."""
    first: list[Answer] = []
    keys = [f"away-{number}" for number in range(3)]
    with _database_away(asker.stack):
        askers = [
            threading.Thread(target=lambda key=key: first.append(asker.ask(key))) for key in keys
        ]
        for one in askers:
            one.start()
        for one in askers:
            one.join()
    for answer in first:
        asker.expect(answer.status == 503 and bool(answer.retry_after), f"away: {answer}")
    asker.stack.answers_again()
    for key in keys:
        done = asker.patiently(key)
        asker.expect(done.replayed is None, f"{key}: nothing had been done to be replayed")
        asker.is_replayed(key, done)
    return len(first)


@contextmanager
def _database_away(stack: Stack) -> Iterator[None]:
    if stack.server is not None:
        stack.server.crash()
        yield
        stack.server.restart()
        return
    other = sqlite3.connect(stack.database.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.execute("ROLLBACK")
    other.close()


def _killed(asker: Asker, point: str, key: str) -> None:
    """The web dies between insert and answer; who asks again gets one run, and its first answer."""
    stack = asker.stack
    stack.kill("web")
    stack.begin("web", CRASH_AT=f"{point}#1")
    serving = stack.serving()
    asker.expect(asker.ask(key).status == 0, f"{key}: the web did not die")
    stack.is_dead(serving, "web")
    stack.kill("web")
    stack.begin("web")
    answer = asker.patiently(key)
    done = point == "web.after_commit_before_response"
    asker.expect(bool(answer.replayed) == done, f"{key}: {answer}")
    asker.is_replayed(key, answer)


def _aged(asker: Asker) -> None:
    """After 71 hours the answer is still kept; after 72 it is gone, and the run is not."""
    stack, key = asker.stack, "key-0"
    shift = Path(stack.data) / "later"
    first = asker.ask(key)
    for hours, kept in ((71, True), (73, False)):
        shift.write_text(str(hours * HOUR_S))
        for part in ("web", "steward"):
            stack.end(part)
            stack.begin(part, CLOCK_SHIFT_FILE=str(shift))
        stack.answers_again()
        if kept:
            asker.is_replayed(key, first)
            continue
        asker.expect(_comes(lambda: _kept(stack) == 0), "answers are kept for more than 72 hours")
        late = asker.ask(key)
        asker.expect(late.status == 202 and late.replayed is None, f"after 72 hours: {late}")
        asker.expect(late.told["id"] == first.told["id"], "a second run after 72 hours")


def _kept(stack: Stack) -> int:
    """Return how many answers the database keeps."""
    with rows(stack) as session, across_organizations(session, "count what is kept"):
        return session.scalar(select(func.count()).select_from(IdempotentAnswer)) or 0


def _comes(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True
