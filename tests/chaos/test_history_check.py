"""The check of histories notices each kind of lie, and is content with the truth."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.history_check import check, main
from tests.chaos.sink import Arrival


def step(number: int, effect: str, state: str = "succeeded") -> dict[str, Any]:
    return {
        "id": f"s_1:lane/s_{number}",
        "n": number,
        "state": state,
        "attempts": 1,
        "effect": effect,
        "idem": f"dh-{number}",
        "fence": 1,
    }


History = dict[str, Any]
HONEST: History = {
    "runs": [
        {
            "id": "run_1",
            "key": "a",
            "state": "done",
            "cost_usd": 0.5,
            "steps": [step(1, "idempotent"), step(2, "at_most_once"), step(3, "none")],
        },
        {
            "id": "run_2",
            "key": "b",
            "state": "needs_review",
            "cost_usd": 0.25,
            "steps": [step(4, "at_most_once", "unknown")],
        },
    ],
    "ledger_cost_usd": 0.75,
    "reserved_usd": 0,
    "audit_ok": True,
    "outbox_pending": 0,
}
STARTS = {"a": "run_1", "b": "run_2"}
SENT = [
    Arrival("/1", "dh-1", "x", 1.0),
    Arrival("/1", "dh-1", "x", 2.0),
    Arrival("/2", "dh-2", "x", 3.0),
    Arrival("/4", "dh-4", "x", 4.0),
]


def told(change: Callable[[History, dict[str, str], list[Arrival]], Any]) -> list[str]:
    """Return the numbers of the promises that are broken after `change`."""
    history, starts, sent = copy.deepcopy(HONEST), dict(STARTS), list(SENT)
    change(history, starts, sent)
    return [sentence.partition(":")[0] for sentence in check(history, starts, sent)]


def test_the_truth_is_believed() -> None:
    assert check(HONEST, STARTS, SENT) == []


@pytest.mark.parametrize(
    ("promise", "change"),
    [
        ("1", lambda history, starts, sent: starts.update(c="run_3")),
        ("1", lambda history, starts, sent: history["runs"][0].update(key="z")),
        ("2", lambda history, starts, sent: history["runs"][1].update(key="a")),
        ("3", lambda history, starts, sent: history["runs"][0].update(state="running")),
        ("3", lambda history, starts, sent: _first(history).update(state="intent")),
        ("4", lambda history, starts, sent: history["runs"][1].update(state="failed")),
        ("4", lambda history, starts, sent: history["runs"][0].update(state="needs_review")),
        ("4", lambda history, starts, sent: _second(history).update(state="cancelled")),
        ("5", lambda history, starts, sent: sent.append(Arrival("/9", "dh-9", "x", 5.0))),
        ("6", lambda history, starts, sent: sent.insert(1, Arrival("/1", "dh-1", "y", 2.5))),
        ("7", lambda history, starts, sent: sent.append(Arrival("/2", "dh-2", "x", 5.0))),
        ("8", lambda history, starts, sent: sent.pop(2)),
        ("9", lambda history, starts, sent: sent.append(Arrival("/1", "dh-1", "x", 5.0))),
        ("10", lambda history, starts, sent: history.update(audit_ok=False)),
        ("10", lambda history, starts, sent: history.update(outbox_pending=1)),
        ("10", lambda history, starts, sent: history.update(ledger_cost_usd=0.7)),
        ("10", lambda history, starts, sent: history.update(reserved_usd=0.1)),
    ],
)
def test_each_broken_promise_is_noticed(promise: str, change: Any) -> None:
    assert promise in told(change)


def test_it_reads_files_and_says_how_it_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history, starts, sink = (tmp_path / name for name in ("history", "starts", "sink"))
    history.write_text(json.dumps(HONEST))
    starts.write_text(json.dumps(STARTS))
    sink.write_text("".join(json.dumps(asdict(one)) + "\n" for one in SENT))

    assert main(str(history), str(starts), str(sink)) == 0
    assert capsys.readouterr().out == "2 runs keep every promise\n"
    starts.write_text(json.dumps(STARTS | {"c": "run_3"}))
    assert main(str(history), str(starts), str(sink)) == 1
    assert "there is no such run" in capsys.readouterr().out


def _first(history: History) -> dict[str, Any]:
    found: dict[str, Any] = history["runs"][0]["steps"][0]
    return found


def _second(history: History) -> dict[str, Any]:
    found: dict[str, Any] = history["runs"][0]["steps"][1]
    return found
