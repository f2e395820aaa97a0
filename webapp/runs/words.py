"""The words people see for states of runs and steps: one function each, asked everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Word:
    """A state in words.

    Attributes:
        mark: key of the status mark on pages (`data-state`).
        text: "Finished with problems".
    """

    mark: str
    text: str


PROBLEMS = Word("problems", "Finished with problems")
_RUN = {
    "queued": Word("queued", "Queued"),
    "running": Word("running", "Running"),
    "paused": Word("paused", "Paused"),
    "needs_review": Word("attention", "Needs your decision"),
    "done": Word("done", "Done"),
    "failed": Word("failed", "Failed"),
    "cancelled": Word("cancelled", "Cancelled"),
}

_STEP = {
    "intent": Word("running", "Running"),
    "succeeded": Word("done", "Done"),
    "failed": Word("failed", "Failed"),
    "unknown": Word("attention", "Did it happen?"),
    "waiting": Word("waiting", "Waiting"),
    "skipped": Word("skipped", "Skipped"),
    "cancelled": Word("cancelled", "Cancelled"),
    "reused": Word("reused", "Reused"),
}


def run_word(
    state: str,
    reason: str | None = None,
    *,
    problems: bool = False,
    cancelling: bool = False,
    pausing: bool = False,
) -> Word:
    """Return a run's word, as list, header, API and mails show it."""
    if cancelling and state in {"running", "queued"}:
        return Word("cancelled", "Cancelling…")
    if pausing and state == "running":
        return Word("paused", "Pausing…")
    if state == "waiting":
        if reason == "breaker":
            return Word("waiting", "Waiting for a service to recover")
        if reason == "review":
            return _RUN["needs_review"]
        person = reason == "person"
        return Word("person", "Waiting for a person") if person else Word("waiting", "Waiting")
    if state == "done" and problems:
        return PROBLEMS
    return _RUN[state]


def step_word(state: str, error: Mapping[str, Any] | None, kind: str = "") -> Word:
    """Return a step's word, by its row's state and what the row says beside it."""
    said = error or {}
    if state == "waiting" and kind == "approval":
        return Word("person", "Waiting for a person")
    if said.get("again") or (state == "unknown" and said.get("decided")):
        return Word("retry", "Trying again")
    if state == "waiting" and (away := away_service(said)):
        return Word("waiting", f"Waiting for {away} to recover")
    if state == "skipped" and said.get("reason") == "off":
        return Word("skipped", "Off")
    if state == "succeeded" and said.get("problems"):
        return PROBLEMS
    return _STEP[state]


def runs_wait(count: int) -> str:
    return "1 run waits" if count == 1 else f"{count:,} runs wait"


def away_service(error: Mapping[str, Any] | None) -> str:
    """Return the service that a waiting step waits for to recover; empty: it waits for else."""
    said = error or {}
    return str(said.get("facts", {}).get("host", "")) if said.get("code") == "E-BREAKER" else ""
