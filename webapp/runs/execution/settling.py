"""How a commit ends a run, parks it, or gives it back, and who else is told in the same commit."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from webapp.engine.journal import End, HandBack, Park
from webapp.kernel.clock import now
from webapp.kernel.ids import new_id
from webapp.kernel.rawsql import Sql
from webapp.runs.execution import statements as st
from webapp.runs.execution.writes import Totals, Write


class Settling:
    """Statements behind the rows of a commit, by what the run has come to."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def settle(self, cursor: Any, write: Write, totals: Totals) -> None:
        run = self._sql.id(write.run)
        fenced = {"run": run, "fence": write.fence}
        ending = write.ending
        if isinstance(ending, HandBack):
            lease = cursor.execute(self._sql(st.HAND_BACK), fenced).fetchone()
            parked = {"state": "queued", "reason": ending.cause}
            if lease[0] == "paused":
                parked = {"state": "paused", "reason": lease[1]}
            cursor.execute(self._sql(st.PARK_RUN), {"run": run, **parked})
        elif isinstance(ending, Park) or (
            isinstance(ending, End) and ending.state == "needs_review"
        ):
            reason = ending.reason if isinstance(ending, Park) else "review"
            due_ms = _due_ms(ending) if isinstance(ending, Park) else -1
            cursor.execute(self._sql(st.PARK_LEASE), fenced | {"reason": reason, "due_ms": due_ms})
            state = "waiting" if isinstance(ending, Park) else "needs_review"
            if isinstance(ending, Park) and self._is_unheard(cursor, run, ending.heard):
                write.wakes, state, reason = True, "queued", "signal"
            cursor.execute(self._sql(st.PARK_RUN), {"run": run, "state": state, "reason": reason})
        elif isinstance(ending, End):
            self._end(cursor, write, ending, totals)

    def _is_unheard(self, cursor: Any, run: Any, heard: int) -> bool:
        """Make a run ready again for which more has come than its worker knew."""
        cursor.execute(self._sql(st.UNHEARD), {"run": run, "heard": heard})
        return cursor.fetchone() is not None

    def _end(self, cursor: Any, write: Write, end: End, totals: Totals) -> None:
        at = now()
        cursor.execute(
            self._sql(st.END_RUN),
            {
                "run": self._sql.id(write.run),
                "state": end.state,
                "reason": (end.error or {}).get("code"),
                "problems": end.problems,
                "result": None if write.result_file else self._sql.json(end.result),
                "result_file": write.result_file,
                "error": self._sql.json(end.error),
                "at": self._sql.moment(at),
                "took_ms": max(0, round((at - write.started_at).total_seconds() * 1000)),
                "cost": totals.cost_nano,
                "below": totals.below_nano,
                "done": totals.done,
                "seq": write.seq,
            },
        )
        cursor.execute(
            self._sql(st.DROP_LEASE), {"run": self._sql.id(write.run), "fence": write.fence}
        )
        if write.may_have_children:
            cursor.execute(self._sql(st.CANCEL_CHILDREN), {"run": self._sql.id(write.run)})
            write.wakes = cursor.fetchone() is not None or write.wakes
        if write.parent is not None:
            self._tell_parent(cursor, write, end, write.parent, totals)

    def _tell_parent(
        self, cursor: Any, write: Write, end: End, parent: tuple[UUID, str], totals: Totals
    ) -> None:
        run, at = self._sql.id(parent[0]), self._sql.moment(now())
        cost = totals.cost_nano + totals.below_nano
        cursor.execute(self._sql(st.CALL_RUN), {"run": run, "cost": cost, **counted(write, totals)})
        row = cursor.fetchone()
        if row is None:  # it is over: nobody waits
            self._cost_above(cursor, run, cost)
            return
        seq, state, reason, org = row
        told: dict[str, Any] = {"state": end.state, "error": end.error, "problems": end.problems}
        told |= {"result_file": write.result_file, "cost": cost, "steps": totals.done}
        if write.result_file is None:
            told["result"] = end.result
        signal = {"run": run, "org": org, "id": self._sql.id(new_id()), "kind": "child", "at": at}
        data = {"key": parent[1], "data": self._sql.json(told), "by": "run"}
        cursor.execute(self._sql(st.NEW_SIGNAL), signal | data)
        event = {"run": run, "org": org, "seq": seq, "at": at, "type": "signal.received"}
        facts = {"kind": "child", "key": parent[1][:200]}
        cursor.execute(self._sql(st.WRITE_EVENT), event | {"data": self._sql.json(facts)})
        if state == "waiting" and reason != "review":
            cursor.execute(self._sql(st.WAKE_RUN), {"run": run})
            cursor.execute(
                self._sql(st.PARK_RUN), {"run": run, "state": "queued", "reason": "signal"}
            )
            write.wakes = True

    def _cost_above(self, cursor: Any, run: Any, cost: int) -> None:
        """Count what a run has cost for those above it that are over already."""
        while cost and run is not None:
            cursor.execute(self._sql(st.COST_BELOW), {"run": run, "cost": cost})
            above = cursor.fetchone()
            run = None if above is None else above[0]
            if run is not None:
                cursor.execute(self._sql(st.COST_BELOW_LIVE), {"run": run, "cost": cost})
                run = run if cursor.fetchone() is None else None


def counted(write: Write, totals: Totals) -> dict[str, int]:
    """Return what a part adds to the figures of the run it belongs to.

    As much of its working time as the whole list has worked meanwhile: some parts do so beside
    each other.
    """
    if write.part is None:
        return {"done": 0, "ran_ms": 0}
    return {"done": totals.done, "ran_ms": totals.ran_ms // max(1, write.part["beside"])}


def _due_ms(park: Park) -> int:
    """Return milliseconds until the sooner of the two due times; -1 for "until told"."""
    waits = []
    if park.due_in_s is not None:
        waits.append(park.due_in_s)
    if park.due_at is not None:
        waits.append((park.due_at - now()).total_seconds())
    return max(0, round(min(waits) * 1000)) if waits else -1
