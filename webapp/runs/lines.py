"""The lines of a run's page: what the plan says, with what the journal says about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from webapp.engine.plan import FAILURE, Step
from webapp.kernel.ids import public_id
from webapp.runs.labels import item_label
from webapp.runs.parts import PartRow, part_of
from webapp.runs.paths import (
    ITEM,
    ITEMS_SHOWN,
    Places,
    element_id,
    item_of,
    prefix_of,
    round_of,
    round_prefix,
)
from webapp.runs.presenting import title_of, word_of
from webapp.runs.queries import RunRow
from webapp.runs.words import PROBLEMS, Word, away_service, step_word

_OPEN: Final = frozenset({"running", "waiting", "retry", "attention", "person"})
_NOT_DONE: Final = frozenset({"intent", "waiting", "unknown", "cancelled"})
_ENDED_WELL: Final = frozenset({"done", "problems", "reused"})
_URGENT: Final = {
    **dict.fromkeys(("failed", "attention", "problems"), 0),
    **dict.fromkeys(("running", "waiting", "retry", "person"), 1),
}
"""What is shown first of many."""
_QUEUED, _NOT_STARTED = Word("queued", "Queued"), Word("skipped", "Not started")


@dataclass(slots=True)
class Line:
    """One line: a step, a lane, or an item of a list.

    Attributes:
        id: for the element; path: of the step it leads to.
        seconds: how long it took, or works until now.
        away: it waits for a service to recover.
        more: what is not shown, with its address.
    """

    id: str
    path: str
    name: str
    word: Word
    number: int | None = None
    seconds: float | None = None
    cost_nano: int = 0
    note: str = ""
    due_at: datetime | None = None
    away: bool = False
    begun: bool = False
    items: int = 0
    items_done: int = 0
    lines: list[Line] = field(default_factory=list)
    more: str = ""
    run: str = ""
    """Of a part of a list the run that does it, on whose page its items stand."""

    @property
    def state(self) -> str:
        return self.word.mark

    @property
    def is_open(self) -> bool:
        return self.word.mark in _OPEN

    @property
    def went_wrong(self) -> bool:
        """Whether it failed, or something in it did."""
        return self.word.mark in {"failed", "problems"}


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows of one step lie in the items of one list, in one state."""

    each: str
    step_id: str
    state: str
    waits: bool
    is_part: bool
    count: int
    cost_nano: int


@dataclass(slots=True)
class Journal:
    """What the journal says, as far as a page shows it.

    Attributes:
        rows: the newest attempt of each path; attempts: how many there were.
        counts: of items of lists.
        labels: for the path of a list, what its items are called; parts: the runs that do some.
    """

    rows: dict[str, Any]
    attempts: dict[str, int]
    counts: Sequence[Count] = ()
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parts: Mapping[str, Sequence[PartRow]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Journal:
        newest: dict[str, Any] = {}
        attempts: dict[str, int] = {}
        for row in rows:  # by path and attempt
            newest[row.path] = row
            attempts[row.path] = attempts.get(row.path, 0) + 1
        return cls(newest, attempts)


def has_ended(row: Any, over: bool) -> bool:
    """Whether nothing of a step is under way any more, by its row."""
    mark = step_word(row.state, row.error, row.kind).mark
    return mark not in _OPEN or (over and mark == "running")


class Lines:
    """Puts the lines of one run together."""

    def __init__(
        self, places: Places, journal: Journal, row: RunRow, at: datetime, chosen: str = ""
    ) -> None:
        self.places, self.journal, self.chosen, self.at = places, journal, chosen, at
        self.over = row.run.is_over
        self.run = public_id("run", row.run.id)
        self.part = part_of(row)

    def all(self) -> list[Line]:
        part, here = self.part, None
        if part is not None:
            here = self.places.step_at(part["path"])
        if part is not None and here is not None:
            return [self._step(here, part["path"])]
        return self._block(self.places.plan.steps, "")

    def some(self, roots: set[str]) -> list[Line]:
        """Return the lines of these steps of the root block."""
        return self._block([step for step in self.places.plan.steps if step.id in roots], "")

    def _block(self, steps: Sequence[Step], prefix: str) -> list[Line]:
        return [self._step(step, prefix + step.id) for step in steps]

    def _step(self, step: Step, path: str) -> Line:
        row = self.journal.rows.get(path)
        number = self.places.numbers[step.id]
        line = Line(element_id(path), path, title_of(step), self._word(row), number)
        if row is not None:
            line.seconds = self._seconds(row)
            line.cost_nano = row.cost_nano
            line.note = self._note(row, path)
            if not line.note and (signal := awaited(step, row)):
                line.note = f"Waits for the signal “{signal}”"
            line.due_at, line.begun = row.due_at, True
            line.away = row.state == "waiting" and bool(away_service(row.error))
        elif self.over:
            line.note = "Not started"
        inside: dict[str, Callable[[Step, str, Line], None]] = {
            "each": self._each,
            "if": self._branches,
            "parallel": self._lanes,
            "repeat": self._rounds,
            "approval": self._changes,
        }
        if step.kind in inside:
            inside[step.kind](step, path, line)
            if line.state == "done" and any(one.went_wrong for one in line.lines):
                line.word = PROBLEMS
        if FAILURE in step.blocks and self._has_rows(prefix_of(path, FAILURE)):
            line.lines += self._block(step.blocks[FAILURE], prefix_of(path, FAILURE))
        return line

    def _word(self, row: Any) -> Word:
        if row is None:
            return _NOT_STARTED if self.over else _QUEUED
        word = step_word(row.state, row.error, row.kind)
        if word.mark == "running" and self.over:  # the run ended while it worked
            return Word("cancelled", "Cancelled")
        return word

    def _seconds(self, row: Any) -> float | None:
        if row.started_at is None or row.state in {"skipped", "reused"}:
            return None
        until = row.done_at or (None if self.over else self.at)
        return max(0.0, (until - row.started_at).total_seconds()) if until else None

    def _note(self, row: Any, path: str) -> str:
        attempts = self.journal.attempts.get(path, 1)
        said = row.error or {}
        if row.state == "succeeded" and "decided" in said:
            return f"{said['by']} said it happened"
        reason = said.get("reason", "")
        notes = {
            "not_needed": "Not needed any more",
            "failed_before": "Something before it failed",
            "sent_before": "Was sent before, so not again",
        }
        if reason in notes:
            return notes[reason] + (". Something in it failed" if said.get("problems") else "")
        if said.get("problems"):
            return "Its run had problems" if row.kind == "workflow" else "A tool call failed"
        return f"{attempts} attempts" if attempts > 1 else ""

    def _has_rows(self, prefix: str) -> bool:
        return any(path.startswith(prefix) for path in self.journal.rows)

    def _branches(self, step: Step, path: str, line: Line) -> None:
        """Show only the branch that was taken."""
        titles = {branch.id: branch.label for branch in step.config.branches}
        for key, block in step.blocks.items():
            prefix = prefix_of(path, key)
            if key != FAILURE and self._has_rows(prefix):
                line.note = (
                    line.note or titles.get(key) or ("Otherwise" if key == "otherwise" else key)
                )
                line.lines += self._block(block, prefix)

    def _lanes(self, step: Step, path: str, line: Line) -> None:
        titles = {lane.id: lane.label or lane.id for lane in step.config.lanes}
        needs = {lane.id: [titles[one] for one in lane.needs] for lane in step.config.lanes}
        groups = [
            self._lane(titles.get(key, key), block, prefix_of(path, key), needs.get(key, []))
            for key, block in step.blocks.items()
            if key != FAILURE and block
        ]
        groups.sort(key=lambda group: group.state != "failed")
        failed = sum(group.state == "failed" for group in groups)
        line.items, line.items_done = len(groups), sum(g.state in _ENDED_WELL for g in groups)
        if line.state != "queued" and line.items:
            done = f"{line.items_done} of {line.items} lanes done"
            line.note = line.note or (f"{done}, {failed} failed" if failed else done)
        if self._unfolds(line, groups):
            line.lines = groups[:ITEMS_SHOWN]
            line.more = (
                f"{len(groups) - ITEMS_SHOWN} more lanes" if len(groups) > ITEMS_SHOWN else ""
            )
        line.cost_nano += sum(group.cost_nano for group in groups)

    def _lane(self, name: str, steps: Sequence[Step], prefix: str, after: Sequence[str]) -> Line:
        """Return a lane's line, which says what it waits for while it has not begun."""
        lane = self._group(name, steps, prefix)
        if after and lane.state == "queued":
            lane.note = f"Starts after {', '.join(after)}"
        return lane

    def _each(self, step: Step, path: str, line: Line) -> None:
        if path in self.journal.parts:
            self._parts(step, path, line)
            return
        done, failed, cost = self._counted(step, path)
        labels = self.journal.labels.get(path, ())
        line.cost_nano += cost
        count = self._count(path)
        line.items, line.items_done = count, done + failed
        if line.state != "queued" and (done or failed or labels):
            whole = f"{done:,} of {count:,} done" if count else f"{done:,} done"
            line.note = f"{whole}, {failed:,} failed" if failed else whole
        if failed and line.state == "done":
            line.word = PROBLEMS
        shown = self._items(step, path, labels)
        if self._unfolds(line, shown):
            line.lines = shown[:ITEMS_SHOWN]
        begun = max(count, done + failed)
        if begun > len(line.lines) and (line.lines or begun > 0):
            line.more = f"Show all {begun:,}"

    def _count(self, path: str) -> int:
        """Return how many items the list has, of a part how many it does; 0: nobody knows."""
        if self.part is not None and self.part["path"] == path:
            return int(self.part["count"])
        return len(self.journal.labels.get(path, ()))

    def _parts(self, step: Step, path: str, line: Line) -> None:
        parts = self.journal.parts[path]
        count = self._count(path) or sum(one.count for one in parts)
        done, failed, _ = self._counted(step, path)
        done += sum(one.count for one in parts if one.is_whole)
        if line.state == "done":
            failed += sum(one.count for one in parts if one.is_lost)
        line.items, line.items_done = count, done + failed
        whole = f"{done:,} of {count:,} done"
        line.note = line.note or (f"{whole}, {failed:,} failed" if failed else whole)
        if failed and line.state == "done":
            line.word = PROBLEMS
        line.cost_nano += sum(one.row.cost_nano for one in parts)
        shown = self.part_lines(path)
        line.lines = sorted(shown, key=lambda one: _URGENT.get(one.state, 2))[:ITEMS_SHOWN]
        if len(shown) > len(line.lines):
            line.more = f"Show all {len(shown):,} parts"

    def part_lines(self, path: str) -> list[Line]:
        """Return a line for each part of a list, in the list's order."""
        lines = []
        for one in self.journal.parts.get(path, ()):
            run, word = one.row.run, word_of(one.row)
            name = f"Items {one.first + 1:,}–{one.first + one.count:,}"
            place = f"{path}[{one.first}-{one.first + one.count - 1}]"
            line = Line(element_id(place), place, name, word)
            line.run, line.note, line.begun = public_id("run", run.id), word.text, True
            line.cost_nano = one.row.cost_nano
            if run.started_at is not None:
                until = run.finished_at or self.at
                line.seconds = max(0.0, (until - run.started_at).total_seconds())
            lines.append(line)
        return lines

    def _counted(self, step: Step, path: str) -> tuple[int, int, int]:
        """Return how many items are done, how many failed, and what they cost."""
        block = step.blocks.get(ITEM, [])
        last = block[-1].id if block else ""
        stops = {inner.id for inner in block if inner.on_failure.do == "stop"}
        done = failed = cost = 0
        for one in self.journal.counts:
            if one.each != path or one.is_part:
                continue
            cost += one.cost_nano
            if one.state == "failed" and one.step_id in stops and not one.waits:
                failed += one.count
            elif one.step_id == last and one.state not in _NOT_DONE and not one.waits:
                done += one.count
        return done, failed, cost

    def _items(self, step: Step, path: str, labels: Sequence[str]) -> list[Line]:
        """Return lines of the items that are shown: failed first, then those at work."""
        block = step.blocks.get(ITEM, [])
        found = {item_of(key, path) for key in self.journal.rows} - {None}
        lines = [
            self._group(
                item_label(labels, index), block, prefix_of(path, ITEM, index), is_item=True
            )
            for index in sorted(index for index in found if index is not None)
        ]
        lines.sort(key=lambda line: _URGENT.get(line.state, 2))
        return lines

    def _rounds(self, step: Step, path: str, line: Line) -> None:
        """Show the rounds in their order: of many the newest."""
        found = {round_of(key, path) for key in self.journal.rows} - {None}
        last, most = max((n for n in found if n is not None), default=0), int(step.config.most)
        rounds = self.rounds_from(step, path, 1, last)
        line.items, line.items_done = most, sum(not one.is_open for one in rounds)
        line.cost_nano += sum(one.cost_nano for one in rounds)
        if last and line.is_open:
            line.note = f"Round {last:,} of at most {most:,}"
        elif last and not line.note:
            line.note = "1 round" if last == 1 else f"{last:,} rounds"
        if self._unfolds(line, rounds):
            line.lines = rounds[-ITEMS_SHOWN:]
        if last > len(line.lines):
            line.more = "Show the round" if last == 1 else f"Show all {last:,} rounds"

    def rounds_from(self, step: Step, path: str, first: int, last: int) -> list[Line]:
        """Return lines of these rounds, as far as they have begun."""
        block = step.blocks.get(ITEM, [])
        found = {round_of(key, path) for key in self.journal.rows}
        return [
            self._group(f"Round {number:,}", block, round_prefix(path, number), is_item=True)
            for number in range(first, last + 1)
            if number in found
        ]

    def _changes(self, step: Step, path: str, line: Line) -> None:
        """Show the rounds in which earlier steps are done again, behind the first one; the
        newest says how the step stands.
        """
        again = self.places.again(step)
        found = {round_of(key, path) for key in self.journal.rows} - {None} if again else set()
        line.lines = [
            self._group(f"Round {number:,}", again, round_prefix(path, number), is_item=True)
            for number in sorted(number for number in found if number is not None)
        ]
        if not line.lines:
            return
        line.word = line.lines[-1].word
        line.note = f"Round {len(line.lines) + 1} of {step.config.rounds}"
        line.seconds = sum((one.seconds or 0.0 for one in line.lines), line.seconds or 0.0)
        line.cost_nano += sum(one.cost_nano for one in line.lines)

    def items_from(self, step: Step, path: str, start: int, most: int) -> list[Line]:
        """Return lines of the items from number `start` on, in the list's order."""
        labels = self.journal.labels.get(path, ())
        block = step.blocks.get(ITEM, [])
        found = {item_of(key, path) for key in self.journal.rows} - {None}
        return [
            self._group(
                item_label(labels, index), block, prefix_of(path, ITEM, index), is_item=True
            )
            for index in range(start, start + most)
            if index in found or index < len(labels)
        ]

    def _group(
        self, name: str, steps: Sequence[Step], prefix: str, *, is_item: bool = False
    ) -> Line:
        """Return one line for a lane or an item: its only step, or all of them together."""
        inner = self._block(steps, prefix)
        if len(inner) == 1 and not inner[0].lines:
            inner[0].name, inner[0].number = name, None
            return inner[0]
        rows = [self.journal.rows.get(line.path) for line in inner]
        lead = _lead(inner, self.journal)
        if lead is None:
            return Line(element_id(prefix), prefix.rstrip("/"), name, self._word(None))
        done = [line.state in _ENDED_WELL or line.state == "skipped" for line in inner]
        word = lead.word
        if word.mark in _ENDED_WELL and not all(done) and not self.over:
            word = Word("running", "Running")
        group = Line(element_id(prefix), lead.path, name, word)
        begun = [row.started_at for row in rows if row is not None and row.started_at]
        ended = [row.done_at or self.at for row in rows if row is not None and row.started_at]
        if begun:
            group.seconds = max(0.0, (max(ended) - min(begun)).total_seconds())
        group.cost_nano = sum(line.cost_nano for line in inner)
        chosen_here = self.chosen.startswith(prefix)
        if chosen_here or group.state in {"failed", "attention"} or (group.is_open and not is_item):
            group.lines = [line for line in inner if chosen_here or line.state != "queued"]
        return group

    def _unfolds(self, line: Line, inner: Sequence[Line]) -> bool:
        """Whether to show what lies inside: while it works, when it failed, when it is chosen."""
        if line.is_open or line.state in {"failed", "attention"}:
            return True
        if any(one.state in {"failed", "attention"} for one in inner):
            return True
        return self.chosen.startswith((f"{line.path}[", f"{line.path}:", f"{line.path}#"))


def awaited(step: Step, row: Any) -> str:
    """Return the name of the signal that a step waits for; "" when it waits for none."""
    asked = getattr(step.config, "signal", None) if step.kind == "wait" else None
    return asked.name if asked and row is not None and row.state == "waiting" else ""


def _lead(lines: Sequence[Line], journal: Journal) -> Line | None:
    """Return the line that says how a group stands: what failed, works, or came last."""
    for states in ({"failed", "attention"}, _OPEN, {"problems"}):
        for line in lines:
            if line.state in states:
                return line
    begun = [line for line in lines if line.path in journal.rows]
    return (begun or list(lines) or [None])[-1]  # type: ignore[list-item]  # nothing at all
