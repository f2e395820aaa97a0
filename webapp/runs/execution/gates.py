"""May a claimed run go on? Pauses and limits, decided while their gate is locked.

A claim takes from the head of the line without asking whose runs those are, so that it costs the
same whatever waits. What may not go on is set aside in the same transaction: paused runs until
they are put back in line, runs over a limit until somebody who looks for work sees room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from webapp.kernel.clock import now
from webapp.kernel.rawsql import Sql
from webapp.runs.execution import statements as st

RUN, ORGANIZATION, FENCE, SEQ, CANCEL_AT, VTIME, WORKFLOW = 0, 1, 2, 3, 7, 8, 9
"""Where the columns of a claimed row stand."""

ONE_AFTER_ANOTHER: Final = frozenset({"queued", "single"})
Row = Any
_MANY: Final = 1 << 30


@dataclass(slots=True)
class Gate:
    """What holds back the runs of a workflow or of an organization.

    Attributes:
        room: how many more may work now; begun: how many of its runs have begun and not ended.
        first: the turn of the first run that it holds back by its limit, if there is one.
    """

    scope: Any
    reason: str
    mode: str
    is_paused: bool
    room: int
    begun: int
    first: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """A run that was set aside, and as what."""

    row: Row
    state: str
    reason: str
    is_news: bool


class Gates:
    """The gates of one machine."""

    def __init__(self, sql: Sql, queue: str) -> None:
        self._sql = sql
        self._queue = queue

    def admit(
        self, cursor: Any, rows: list[Row], freed: Collection[Any]
    ) -> tuple[list[Row], list[Held]]:
        """Return the claimed rows that may go on, and those that were set aside.

        Args:
            freed: runs among them that waited for a limit before.
        """
        gates = self._locked(cursor, rows)
        if not gates:
            return rows, []
        admitted, held = [], []
        for row in sorted(rows, key=lambda row: row[VTIME]):
            passed = [gates[key] for key in (row[ORGANIZATION], row[WORKFLOW]) if key in gates]
            waited = row[RUN] in freed
            stopped = next((g for g in passed if self._stops(cursor, g, row, waited)), None)
            if stopped is None:
                for gate in passed:
                    gate.room, gate.begun = gate.room - 1, gate.begun + 1
                admitted.append(row)
            else:
                held.append(self._set_aside(cursor, row, stopped, waited))
        return admitted, held

    def _locked(self, cursor: Any, rows: list[Row]) -> dict[Any, Gate]:
        """Lock the gates of these rows, in one order for all, and count who is inside.

        The rows themselves count as running by now, and are taken off.
        """
        mine = Counter(row[key] for row in rows for key in (ORGANIZATION, WORKFLOW))
        mine.pop(None, None)
        marks = {f"scope_{n}": scope for n, scope in enumerate(sorted(mine))}
        scopes = ", ".join(f":{mark}" for mark in marks)
        cursor.execute(self._sql(st.GATES.replace("SCOPES", scopes)), marks)
        found = {}
        for scope, organization, mode, most, is_paused in cursor.fetchall():
            whole = scope == organization
            facts = {"org": organization, "workflow": scope}
            room = begun = _MANY
            if mode == "restart":
                most = 1  # what was cancelled for it may still finish a step
            if most is not None:
                text = st.COUNT_RUNNING if whole else st.COUNT_RUNNING_OF
                room = most - self._count(cursor, text, facts) + mine[scope]
            if mode in ONE_AFTER_ANOTHER:
                begun = self._count(cursor, st.COUNT_BEGUN, facts) - mine[scope]
            reason = "organization" if whole else "workflow"
            cursor.execute(self._sql(st.FIRST_LIMITED), {"limit": scope})
            [first] = cursor.fetchone()
            found[scope] = Gate(scope, reason, mode, bool(is_paused), room, begun, first)
        return found

    def _count(self, cursor: Any, statement: str, facts: dict[str, Any]) -> int:
        cursor.execute(self._sql(statement), facts)
        count: int = cursor.fetchone()[0]
        return count

    def _stops(self, cursor: Any, gate: Gate, row: Row, waited: bool) -> bool:
        if row[CANCEL_AT] is not None:
            return False  # it only has to end
        if gate.is_paused or gate.room <= 0:
            return True
        behind = gate.first is not None and gate.first < row[VTIME]
        if behind and not waited:
            return True  # others of the same limit came before
        if gate.mode not in ONE_AFTER_ANOTHER or row[FENCE] > 1:
            return False
        if gate.begun <= 0 and not behind and not self._overtakes(cursor, gate, row):
            return False
        cursor.execute(self._sql(st.IS_CHILD), {"run": row[RUN]})
        found = cursor.fetchone()
        return found is not None and not found[0]

    def _overtakes(self, cursor: Any, gate: Gate, row: Row) -> bool:
        """Whether an earlier run is in line yet: another worker is just claiming it."""
        facts = {"queue": self._queue, "vtime": row[VTIME], "workflow": gate.scope}
        cursor.execute(self._sql(st.ANY_BEFORE), facts)
        return cursor.fetchone() is not None

    def _set_aside(self, cursor: Any, row: Row, gate: Gate, waited: bool) -> Held:
        state = "paused" if gate.is_paused else "waiting"
        reason = gate.reason if gate.is_paused else "limit"
        is_news = gate.is_paused or not waited
        aside = {"run": row[RUN], "state": state, "reason": reason}
        limit = None if gate.is_paused else gate.scope
        cursor.execute(
            self._sql(st.SET_ASIDE), {**aside, "limit": limit, "quiet": int(not is_news)}
        )
        if is_news:
            cursor.execute(self._sql(st.PARK_RUN), aside)
            self._tell(cursor, row, state, reason)
        return Held(row, state, reason, is_news)

    def _tell(self, cursor: Any, row: Row, state: str, reason: str) -> None:
        event = {
            "run": row[RUN],
            "org": row[ORGANIZATION],
            "seq": row[SEQ],
            "at": self._sql.moment(now()),
            "type": f"run.{state}",
            "data": self._sql.json({"reason": reason}),
        }
        cursor.execute(self._sql(st.WRITE_EVENT), event)
