"""Collects what one commit will say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from webapp.engine.journal import Batch, End, Event, Park, Record
from webapp.engine.ledger import Entry
from webapp.engine.recovery import CALL

Key = tuple[str, int]
WORDS = {
    "succeeded": "step.done",
    "failed": "step.failed",
    "unknown": "step.unknown",
    "waiting": "step.waiting",
    "skipped": "step.skipped",
    "cancelled": "step.cancelled",
}


class Pen:
    """Rows and events since the last commit; a row that changes twice is written once."""

    def __init__(self, records: Iterable[Record], started_at: float) -> None:
        self.rows: dict[Key, Record] = {}
        self._sent: dict[Key, Record] = {}
        self.entries: list[Entry] = []
        self._sent_entries: list[Entry] = []
        self._sent_events: dict[tuple[str, int, str], Event] = {}
        self.quick = 0
        """Rows of steps that never had an intent: the reason to commit before others wait."""
        self._events: dict[tuple[str, int, str], Event] = {}
        self._kept = {(r.path, r.attempt) for r in records if not r.ends_path}
        """Rows already in the journal that may still change."""
        self._begun: dict[str, float] = {}
        self._last_commit = self._sent_at = started_at

    def write(self, record: Record, at: float, *, resumed: bool = False) -> None:
        """Put a row and its event into the next commit.

        Args:
            record: the row.
            at: seconds on the monotonic clock.
            resumed: the intent was found after a loss, and is done again.
        """
        key = (record.path, record.attempt)
        record.new = key not in self._kept
        earlier = self.rows.get(key)
        self.rows[key] = record
        if record.state == "intent":
            if resumed or (record.new and earlier is None):
                word = "step.resumed" if resumed else "step.started"
                self._say(key, word, _told(record))
                self._begun[record.path] = at
            return
        if record.new:
            self._events.pop((*key, "step.started"), None)
        begun = self._begun.pop(record.path, None)
        if begun is None:
            self.quick += 1
        took = {} if begun is None else {"ms": round((at - begun) * 1000)}
        self._say(key, WORDS[record.state], _told(record) | took)

    def say_tool(self, record: Record, phase: str, tool: str) -> None:
        self._say((record.path, record.attempt), f"step.tool {phase}", {
            "path": record.path, "step": record.step_id, "phase": phase, "tool": tool[:100],
        })  # fmt: skip

    def put_call(self, record: Record) -> None:
        """Write the row of an agent's tool call; its event is `say_tool`."""
        key = (record.path, record.attempt)
        record.new = key not in self._kept
        self.rows[key] = record

    def drop(self, record: Record) -> None:
        """Unwrite an intent that was not committed and shall not be."""
        key = (record.path, record.attempt)
        if self.rows.get(key) is record:
            del self.rows[key]
            for word in ("step.started", "step.resumed", "step.tool started"):
                self._events.pop((*key, word), None)

    def drop_entry(self, entry: Entry) -> bool:
        """Unwrite a reservation that was not committed, and what closes it; tell if it was here."""
        was_here = entry in self.entries
        self.entries = [other for other in self.entries if not entry.is_same_call(other)]
        return was_here

    def is_on_its_way(self, entry: Entry) -> bool:
        """Whether the last batch holds the entry, and it is not known to be refused."""
        return entry in self._sent_entries

    @property
    def is_empty(self) -> bool:
        return not self.rows and not self._events and not self.entries

    def batch(self, at: float, end: End | None = None, park: Park | None = None) -> Batch:
        """Return what the next commit says; `take_back` undoes that, should it be refused."""
        rows, events = list(self.rows.values()), list(self._events.values())
        if end is not None:
            events.append(_ending(end))
        if park is not None:
            events.append(_parking(park))
        batch = Batch(
            records=rows,
            events=events,
            done_delta=sum(1 for row in rows if row.ends_path and CALL not in row.path),
            entries=self.entries,
            ran_s=at - self._last_commit,
            end=end,
            park=park,
        )
        self._sent_at, self._last_commit = self._last_commit, at
        self._sent, self.rows = self.rows, {}
        self._sent_events, self._events = self._events, {}
        self._sent_entries, self.entries = self.entries, []
        self.quick = 0
        for key, record in self._sent.items():
            if record.ends_path:
                self._kept.discard(key)
            else:
                self._kept.add(key)
        return batch

    def take_back(self) -> None:
        """Nothing of the batch was kept: it goes into the next one."""
        self._last_commit = self._sent_at
        for key, record in self._sent.items():
            if record.new:
                self._kept.discard(key)
            else:
                self._kept.add(key)
        for key, record in self.rows.items():
            record.new = key not in self._kept
        self.rows = self._sent | self.rows
        self._events = self._sent_events | self._events
        self.entries, self._sent_entries = self._sent_entries + self.entries, []

    def _say(self, key: Key, word: str, data: dict[str, Any]) -> None:
        self._events[(*key, word)] = Event(word.partition(" ")[0], data)


def _told(record: Record) -> dict[str, Any]:
    data: dict[str, Any] = {"path": record.path, "step": record.step_id, "attempt": record.attempt}
    if record.state == "intent":
        data["kind"] = record.kind
    if record.error is not None:
        data["code"] = record.error.get("code")
    if record.reason:
        data["reason"] = record.reason
    if record.due_s is not None:
        data["retry_in_s" if record.state == "failed" else "due_in_s"] = round(record.due_s, 3)
    if record.due_at is not None:
        data["due_at"] = record.due_at.isoformat()
    if record.notes:
        data["notes"] = [note[:200] for note in record.notes[:5]]
    if record.cost_nano:
        data["cost_nano"] = record.cost_nano
    return data


def _parking(park: Park) -> Event:
    due = {"due_in_s": park.due_in_s} if park.due_in_s is not None else {}
    until = {"due_at": park.due_at.isoformat()} if park.due_at is not None else {}
    return Event("run.waiting", {"reason": park.reason} | due | until)


def _ending(end: End) -> Event:
    if end.state == "failed":
        error = end.error or {}
        return Event("run.failed", {"code": error.get("code"), "step": error.get("step")})
    facts = {"problems": end.problems} if end.state == "done" else {}
    return Event(f"run.{end.state}", facts)
