"""What a worker reads of the runs it has claimed: their plan, their journal, what has come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine

from webapp.engine.journal import Record
from webapp.engine.mailbox import Arrival, Mailbox
from webapp.files.shelf import Shelf
from webapp.kernel import jsons
from webapp.kernel.clock import boot_id, now
from webapp.kernel.db import reading
from webapp.kernel.ids import public_id
from webapp.kernel.rawsql import Sql, sql_for
from webapp.runs.execution import statements as st
from webapp.spending import entries

if TYPE_CHECKING:
    from webapp.runs.execution.claims import Claimed

_AT_ONCE: Final = 200
MOST_LOSSES: Final = 10
"""Workers may be lost over a run so often while it makes no progress: it may be what ends them."""


def everywhere(sql: Sql, connection: Any) -> Any:
    """Return a driver's cursor that sees every organization: claims cross them all."""
    cursor = connection.connection.driver_connection.cursor()
    if sql.postgresql:
        cursor.execute(st.SEE_EVERYTHING)
    return cursor


def alone(sql: Sql, connection: Connection) -> Any:
    """Return the driver's connection behind one that its caller keeps. It sees every organization,
    and each statement, or pipeline, is a transaction by itself: to begin and end one aloud costs
    more than a short statement.
    """
    driver: Any = connection.connection.driver_connection
    if sql.postgresql:
        connection.detach()  # what it sees from now on is for nobody else
        driver.autocommit = True
        driver.execute(st.SEE_EVERYTHING_ALWAYS)
    return driver


class Readings:
    """Args: shelf: where large values are."""

    def __init__(self, engine: Engine, shelf: Shelf) -> None:
        self._engine = engine
        self._shelf = shelf
        self._sql: Sql = sql_for(engine.dialect.name)

    def plan(self, run: Claimed) -> tuple[dict[str, Any], int | None, str]:
        """Return the run's plan document, the version's number and the organization's slug."""
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = everywhere(self._sql, connection)
            cursor.execute(self._sql(st.PLAN), {"version": self._sql.id(run.version_id)})
            document, number, slug = cursor.fetchone()
        return self._sql.read_json(document), number, slug

    def records(self, run: Claimed) -> list[Record]:
        """Return the run's journal for a replay; nothing for a run nobody has begun."""
        if not run.has_journal:
            return []
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = everywhere(self._sql, connection)
            cursor.execute(self._sql(st.STEPS), {"run": self._sql.id(run.run_id)})
            rows = cursor.fetchall()
            cursor.execute(self._sql(entries.OF_RUN), {"run": self._sql.id(run.run_id)})
            ledger = [entries.read_entry(row, self._sql) for row in cursor.fetchall()]
        records = [self._record(row) for row in rows]
        if ledger:
            at = {(record.path, record.attempt): record.entries for record in records}
            for entry in ledger:
                at.get((entry.path, entry.attempt), []).append(entry)
        return records

    def signals(self, run: Claimed) -> list[Arrival]:
        """Return what has come for a run so far."""
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = everywhere(self._sql, connection)
            cursor.execute(self._sql(st.SIGNALS), {"run": self._sql.id(run.run_id)})
            rows = cursor.fetchall()
        return [self._arrival(row) for row in rows]

    def signals_held(self, worker: str, boxes: Mapping[UUID, Mailbox]) -> dict[UUID, list[Arrival]]:
        """Return what has come for these runs of a worker that their boxes do not know yet."""
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = everywhere(self._sql, connection)
            cursor.execute(self._sql(st.SIGNALS_HELD), {"worker": worker})
            fresh = [
                key
                for run, key in cursor.fetchall()
                if (box := boxes.get(self._sql.read_id(run))) is not None
                and not box.knows(public_id("sig", self._sql.read_id(key)))
            ]
            rows = []
            for first in range(0, len(fresh), _AT_ONCE):
                keys = {f"key_{n}": key for n, key in enumerate(fresh[first : first + _AT_ONCE])}
                text = st.THESE_SIGNALS.replace("KEYS", ", ".join(f":{name}" for name in keys))
                cursor.execute(self._sql(text), keys)
                rows += cursor.fetchall()
        found: dict[UUID, list[Arrival]] = {}
        for run, *row in rows:
            found.setdefault(self._sql.read_id(run), []).append(self._arrival(row))
        return found

    def _arrival(self, row: Any) -> Arrival:
        key, kind, name, data, by, at = row
        signal_id = public_id("sig", self._sql.read_id(key))
        value = self._sql.read_json(data)
        if kind == "signal":
            moment = self._sql.read_moment(at)
            sent_at = "" if moment is None else moment.isoformat()
            value = {"id": signal_id, "by": by, "at": sent_at, "data": value}
        elif isinstance(value, dict) and value.get("result_file"):
            value = {**value, "result": jsons.loads(self._shelf.get(value["result_file"]))}
        return Arrival(signal_id, kind, name, value)

    def losses(self, run: Claimed) -> int:
        """Return how many workers were lost over the run since it last got on."""
        if run.fence <= MOST_LOSSES:
            return 0
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = everywhere(self._sql, connection)
            cursor.execute(self._sql(st.REQUEUED), {"run": self._sql.id(run.run_id)})
            causes = [self._sql.read_json(data).get("cause") for (data,) in cursor.fetchall()]
        return causes.count("lost")

    def _record(self, row: Any) -> Record:
        (path, attempt, step_id, kind, state, effect, key, request, result, result_file, error,
         due_at, left_ms, boot, cost, tokens_in, tokens_out) = row  # fmt: skip
        value = self._sql.read_json(result)
        if result_file is not None:
            value = jsons.loads(self._shelf.get(result_file))
        found = self._sql.read_json(error)
        due, due_s = self._due(self._sql.read_moment(due_at), left_ms, boot)
        return Record(
            path=path,
            attempt=attempt,
            step_id=step_id,
            kind=kind,
            state=state,
            effect=effect,
            idem_key=key,
            request=None if request is None else bytes(request),
            result=value,
            error=found,
            due_at=due,
            due_s=due_s,
            cost_nano=cost,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            new=False,
            reason=(found or {}).get("reason", ""),
        )

    def _due(
        self, due: datetime | None, left_ms: int | None, boot: str | None
    ) -> tuple[datetime | None, float | None]:
        """Return the moment until which a row waits, or the seconds that are left of its span."""
        if due is None or left_ms is None:
            return due, None
        if self._sql.postgresql or boot == boot_id():
            return None, max(0.0, left_ms / 1000)
        return None, max(0.0, (due - now()).total_seconds())
