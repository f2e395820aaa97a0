"""Who works on which run: claim, heartbeat, and taking back what a lost worker held."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from webapp.engine.journal import Record
from webapp.files.shelf import Shelf
from webapp.kernel import jsons
from webapp.kernel.clock import boot_id, now
from webapp.kernel.db import reading
from webapp.kernel.hints import Hints
from webapp.kernel.ids import public_id
from webapp.kernel.rawsql import Sql, sql_for
from webapp.runs.execution import statements as st

MOST_LOSSES: Final = 10
"""Workers may be lost over a run so often while it makes no progress: it may be what ends them."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that this worker holds, under `fence`, until its lease ends."""

    run_id: UUID
    organization_id: UUID
    workflow_id: UUID
    version_id: UUID
    fence: int
    seq: int
    ran_s: float
    done: int
    cost_nano: int
    inputs: dict[str, Any]
    queued_at: datetime
    started_at: datetime
    started_by_name: str
    kind: str
    cancelling: bool

    @property
    def public(self) -> str:
        return public_id("run", self.run_id)

    @property
    def fresh(self) -> bool:
        """Whether nobody worked on it before, so that it has no journal to read."""
        return self.fence == 1


@dataclass(frozen=True, slots=True)
class Held:
    """What the heartbeat found of this worker's runs."""

    fence: int
    cancelling: bool


class Claims:
    """The claims of one worker, or of the steward, which only takes back."""

    def __init__(self, engine: Engine, worker: str, lease_s: float, queue: str = "runs") -> None:
        self._engine = engine
        self._sql: Sql = sql_for(engine.dialect.name)
        self._worker = worker
        self._lease_ms = round(lease_s * 1000)
        self._queue = queue
        self._looking: Connection | None = None

    def claim(self, most: int, hints: Hints) -> list[Claimed]:
        """Take up to `most` ready runs, in the order of their virtual time."""
        if not self._is_any_ready():
            return []
        with self._engine.connect() as connection, connection.begin():
            cursor = self._cursor(connection)
            cursor.execute(
                self._sql(st.CLAIM),
                {
                    "worker": self._worker,
                    "boot": boot_id(),
                    "lease_ms": self._lease_ms,
                    "queue": self._queue,
                    "most": most,
                },
            )
            rows = cursor.fetchall()
            begun = [self._begin(cursor, row) for row in rows]
            self._count_claimed(cursor, rows)
        claimed = [run for run in begun if run is not None]
        for run in claimed:
            name = "run.started" if run.fresh else "run.resumed"
            hints.tell(f"run:{run.public}", name, run.seq)
            hints.tell(f"runs:{public_id('org', run.organization_id)}", name, 0, run=run.public)
        return claimed

    def _begin(self, cursor: Any, row: Any) -> Claimed | None:
        run_key, org_key, fence, seq, ran_ms, done, cost, cancel_at = row
        at = now()
        cursor.execute(self._sql(st.BEGIN_RUN), {"run": run_key, "at": self._sql.moment(at)})
        run = cursor.fetchone()
        if run is None:  # it was deleted: what it leaves behind must not stop the others
            cursor.execute(self._sql(st.DROP_LEASE), {"run": run_key, "fence": fence})
            return None
        cursor.execute(
            self._sql(st.WRITE_EVENT),
            {
                "run": run_key,
                "org": org_key,
                "seq": seq,
                "at": self._sql.moment(at),
                "type": "run.started" if fence == 1 else "run.resumed",
                "data": self._sql.json({"worker": self._worker}),
            },
        )
        return Claimed(
            run_id=self._sql.read_id(run_key),
            organization_id=self._sql.read_id(org_key),
            workflow_id=self._sql.read_id(run[1]),
            version_id=self._sql.read_id(run[2]),
            fence=fence,
            seq=seq,
            ran_s=ran_ms / 1000,
            done=done,
            cost_nano=cost,
            inputs=self._sql.read_json(run[3]),
            queued_at=self._sql.read_moment(run[4]) or at,
            started_at=self._sql.read_moment(run[5]) or at,
            started_by_name=run[6],
            kind=run[7],
            cancelling=cancel_at is not None,
        )

    def _count_claimed(self, cursor: Any, rows: list[Any]) -> None:
        """Free the places in line of runs that were claimed for the first time."""
        counts = Counter(row[1] for row in rows if row[2] == 1)
        for organization in sorted(counts):  # in one order, or two claims wait for each other
            cursor.execute(
                self._sql(st.FAIR_CLAIMED),
                {"count": counts[organization], "queue": self._queue, "org": organization},
            )

    def plan(self, run: Claimed) -> tuple[dict[str, Any], int | None, str]:
        """Return the run's plan document, the version's number and the organization's slug."""
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = self._cursor(connection)
            cursor.execute(self._sql(st.PLAN), {"version": self._sql.id(run.version_id)})
            document, number, slug = cursor.fetchone()
        return self._sql.read_json(document), number, slug

    def release(self, run_id: UUID, fence: int, hints: Hints) -> None:
        """Give back a run that this worker holds but does not work on."""
        held = {"run": self._sql.id(run_id), "fence": fence}
        with self._engine.connect() as connection, connection.begin():
            count = self._requeue(self._cursor(connection), st.RELEASE, held, "released", hints)
        if count:
            hints.ring(self._queue)

    def records(self, run: Claimed, shelf: Shelf) -> list[Record]:
        """Return the run's journal for a replay; nothing for a run nobody has begun."""
        if run.fresh:
            return []
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = self._cursor(connection)
            cursor.execute(self._sql(st.STEPS), {"run": self._sql.id(run.run_id)})
            rows = cursor.fetchall()
        return [self._record(row, shelf) for row in rows]

    def losses(self, run: Claimed) -> int:
        """Return how many workers were lost over the run since it last got on."""
        if run.fence <= MOST_LOSSES:
            return 0
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = self._cursor(connection)
            cursor.execute(self._sql(st.REQUEUED), {"run": self._sql.id(run.run_id)})
            causes = [self._sql.read_json(data).get("cause") for (data,) in cursor.fetchall()]
        return causes.count("lost")

    def _record(self, row: Any, shelf: Shelf) -> Record:
        (path, attempt, step_id, kind, state, effect, key, request, result, result_file, error,
         due_at, _started, cost, tokens_in, tokens_out) = row  # fmt: skip
        value = self._sql.read_json(result)
        if result_file is not None:
            value = jsons.loads(shelf.get(result_file))
        found = self._sql.read_json(error)
        due = self._sql.read_moment(due_at)
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
            due_s=None if due is None else max(0.0, (due - now()).total_seconds()),
            cost_nano=cost,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            new=False,
            reason=(found or {}).get("reason", ""),
        )

    def beat(self) -> dict[UUID, Held]:
        """Renew the leases of all runs this worker holds, and return which those are."""
        with self._engine.connect() as connection, connection.begin():
            cursor = self._cursor(connection)
            cursor.execute(self._sql(st.BEAT), {"worker": self._worker, "lease_ms": self._lease_ms})
            return {
                self._sql.read_id(run): Held(fence, cancel_at is not None)
                for run, fence, cancel_at in cursor.fetchall()
            }

    def see(self, row: dict[str, Any]) -> None:
        """Write down that this worker lives, for /status and the staff pages."""
        with self._engine.connect() as connection, connection.begin():
            moments = {name: self._sql.moment(row[name]) for name in ("started_at", "seen_at")}
            self._cursor(connection).execute(self._sql(st.SEEN), row | moments)

    def take_back(self, hints: Hints) -> int:
        """Put runs back in line whose worker went silent or whose time to wait is over.

        Returns how many.
        """
        boot = {"boot": boot_id()}
        if not self._any(st.ANY_LOST, boot):
            return 0
        with self._engine.connect() as connection, connection.begin():
            cursor = self._cursor(connection)
            count = self._requeue(cursor, st.TAKE_BACK, boot, "lost", hints)
            count += self._requeue(cursor, st.WAKE, boot, "due", hints)
        if count:
            hints.ring(self._queue)
        return count

    def _requeue(
        self, cursor: Any, statement: str, facts: dict[str, Any], cause: str, hints: Hints
    ) -> int:
        cursor.execute(self._sql(statement), facts)
        rows = cursor.fetchall()
        for run, org, seq in rows:
            cursor.execute(self._sql(st.PARK_RUN), {"run": run, "state": "queued", "reason": cause})
            cursor.execute(
                self._sql(st.WRITE_EVENT),
                {
                    "run": run,
                    "org": org,
                    "seq": seq,
                    "at": self._sql.moment(now()),
                    "type": "run.requeued",
                    "data": self._sql.json({"cause": cause}),
                },
            )
            hints.tell(f"run:{public_id('run', self._sql.read_id(run))}", "run.requeued", seq)
        return len(rows)

    def _is_any_ready(self) -> bool:
        """Look for work, on a connection that is kept: a busy worker looks all the time."""
        if self._looking is None:
            self._looking = self._engine.connect()
        try:
            with reading(), self._looking.begin():
                cursor = self._cursor(self._looking)
                cursor.execute(self._sql(st.ANY_READY), {"queue": self._queue})
                return cursor.fetchone() is not None
        except BaseException:
            connection, self._looking = self._looking, None
            with suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()
            raise

    def _any(self, statement: str, facts: dict[str, Any]) -> bool:
        """Whether there is anything to do, without taking the writer's place to find out."""
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = self._cursor(connection)
            cursor.execute(self._sql(statement), facts)
            return cursor.fetchone() is not None

    def _cursor(self, connection: Any) -> Any:
        """Return a driver's cursor that sees every organization: claims cross them all."""
        cursor = connection.connection.driver_connection.cursor()
        if self._sql.postgresql:
            cursor.execute(st.SEE_EVERYTHING)
        return cursor
