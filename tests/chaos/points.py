"""Each crash point in turn: a part dies there while runs go on, another one takes over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.chaos import plans
from tests.chaos.sink import Sink
from tests.chaos.stack import Stack
from webapp.kernel.crashpoints import HERE

Round = Callable[["Yard", str, int, str], None]


class Yard:
    """A stack with its workflow, and what its runs are called."""

    def __init__(self, stack: Stack, sink: Sink) -> None:
        self.stack = stack
        self.sink = sink
        self.workflow = stack.live("Mixed", plans.mixed(sink.url))
        self.slow = stack.live("Slow", plans.chain(sink.url, 40))
        self.doubtful = stack.live("Doubtful", plans.of(_cut(sink.url)))
        self.wait_s = 30.0
        self.slowest_s = 0.0
        """The longest that a run took from a worker's death to its end."""

    def start(self, name: str) -> str:
        return self.stack.start(self.workflow, f"key-{name}", name=name)

    def is_settled(self, run: str, died: float | None = None) -> None:
        ended = self.stack.settled(run, self.wait_s)
        if died is not None:
            self.slowest_s = max(self.slowest_s, time.monotonic() - died)
        assert ended["state"] in {"done", "needs_review", "cancelled"}, ended


def _cut(url: str) -> dict[str, object]:
    return plans.http("s_cut", url, "cut", "POST")


def one_round(yard: Yard, point: str, nth: int, name: str) -> None:
    """Let a part die at `point`, and see that all goes on."""
    _ROUNDS.get(point, _ROUNDS.get(point.partition(".")[0], worker))(yard, point, nth, name)


def worker(yard: Yard, point: str, nth: int, name: str) -> None:
    """The only worker dies; the next one finishes its runs, of which each passes the point once."""
    stack = yard.stack
    stack.end("worker")
    stack.begin("worker", CRASH_AT=f"{point}#{nth}")
    runs = [yard.start(f"{name}-{n}") for n in range(nth)]
    stack.gone("worker")
    died = time.monotonic()
    stack.begin("worker")
    for run in runs:
        yard.is_settled(run, died)


def cancelled(yard: Yard, point: str, nth: int, name: str) -> None:
    """The only worker dies when it hears that its run is to be cancelled."""
    stack = yard.stack
    stack.end("worker")
    stack.begin("worker", CRASH_AT=f"{point}#{nth}")
    runs = [stack.start(yard.slow, f"key-{name}-{n}", name=f"{name}-{n}") for n in range(nth)]
    yard.sink.waits_for(f"/{name}-{nth - 1}/")
    for run in runs:
        stack.until("POST", f"/api/v1/runs/{run}/cancel")
    stack.gone("worker")
    stack.begin("worker")
    for run in runs:
        yard.is_settled(run)


def web(yard: Yard, point: str, nth: int, name: str) -> None:
    """The web dies in the nth start; clients ask again with the same key."""
    stack = yard.stack
    stack.kill("web")
    stack.begin("web", CRASH_AT=f"{point}#{nth}")
    serving = stack.serving()
    runs: list[str] = []
    clients = [
        threading.Thread(target=lambda n=n: runs.append(yard.start(f"{name}-{n}")))
        for n in range(nth)
    ]
    for client in clients:
        client.start()
    stack.is_dead(serving, "web")
    stack.kill("web")
    stack.begin("web")
    for client in clients:
        client.join()
    assert len(runs) == nth
    for run in runs:
        yard.is_settled(run)


def decided(yard: Yard, point: str, nth: int, name: str) -> None:
    """The web dies behind the commit of a decision; the decision stands and is made once."""
    stack = yard.stack
    runs = [stack.start(yard.doubtful, f"key-{name}-{n}", name=f"{name}-{n}") for n in range(nth)]
    for run in runs:
        assert stack.settled(run, yard.wait_s)["state"] == "needs_review"
    stack.kill("web")
    stack.begin("web", CRASH_AT=f"{point}#{nth}")
    for run in runs:
        stack.call("POST", f"/api/v1/tasks/{run}.s_cut/decide", {"decision": "happened"})
    stack.kill("web")
    stack.begin("web")
    stack.answers_again()
    for run in runs:
        status, _ = stack.call(
            "POST", f"/api/v1/tasks/{run}.s_cut/decide", {"decision": "happened"}
        )
        assert status == 409, status  # it was decided before the web died
        assert stack.settled(run, yard.wait_s)["state"] == "done"


def relay(yard: Yard, point: str, nth: int, name: str) -> None:
    """The steward dies with a delivery in hand; another one makes it when its lease is over."""
    stack = yard.stack
    stack.end("steward")
    for n in range(nth):
        stack.live(f"For the record {name} {n}", plans.chain(yard.sink.url, 1))
        stack.begin("steward", CRASH_AT=f"{point}#1")
        stack.gone("steward")
    stack.begin("steward")


_ROUNDS: dict[str, Round] = {
    "web": web,
    "web.after_approve_commit": decided,
    "relay": relay,
    "worker.in_cancel": cancelled,
}
# What is delivered again after a minute comes first, so that nobody has to wait for it.
POINTS = sorted(HERE, key=lambda point: (not point.startswith("relay"), point))
