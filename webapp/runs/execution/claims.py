"""Who works on which run: claim, heartbeat, and taking back what a lost worker held."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from webapp.kernel.clock import WallWatch, boot_id, now
from webapp.kernel.db import reading
from webapp.kernel.hints import Hints
from webapp.kernel.ids import public_id
from webapp.kernel.rawsql import Sql, sql_for
from webapp.runs.execution import gates as at_gates
from webapp.runs.execution import statements as st
from webapp.runs.execution.gates import Gates
from webapp.runs.execution.readings import alone, everywhere

_WALL: Final = WallWatch()
"""Of the process, since the steward makes its claims anew each time it sweeps."""


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
    parent: tuple[UUID, str] | None
    """The run and the path of the step that started this one."""
    depth: int
    has_journal: bool
    """Somebody worked on it before, or it took over steps of an earlier run."""
    part: dict[str, Any] | None = None
    """Which items of a list of its parent it does."""
    limit_nano: int | None = None
    """What it may cost by the limits around the step that started it."""

    @property
    def public(self) -> str:
        return public_id("run", self.run_id)

    @property
    def rehearses(self) -> bool:
        return self.kind == "rehearsal" or bool((self.part or {}).get("rehearsal"))

    @property
    def fresh(self) -> bool:
        """Whether nobody worked on it before, so that it has no journal to read."""
        return self.fence == 1


_TRIES: Final = 256
"""Claims in a row of which every run was set aside, before the worker looks at the rest."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the heartbeat found of this worker's runs."""

    fence: int
    cancelling: bool
    pausing: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to claim.

    Attributes:
        freed: limits that have room again, and for how many runs.
        gates: whether anything is paused or limited at all.
        newcomers: runs of organizations that have nothing at work here; None: they were not
            asked for alone.
    """

    ready: bool
    freed: list[tuple[Any, int]]
    gates: bool
    newcomers: list[Any] | None = None


class Claims:
    """The claims of one worker, or of the steward, which only takes back."""

    def __init__(self, engine: Engine, worker: str, lease_s: float, queue: str = "runs") -> None:
        self._engine = engine
        self._sql: Sql = sql_for(engine.dialect.name)
        self._worker = worker
        self._lease_ms = round(lease_s * 1000)
        self._queue = queue
        self._gates = Gates(self._sql, queue)
        self._turn = False
        """Whose turn it is when there is one place for two kinds of runs."""
        self._looking: Connection | None = None
        self._driver: Any = None

    def claim(self, most: int, hints: Hints, at_a_time: int | None = None) -> list[Claimed]:
        """Take up to `most` runs that may go on, in the order of their virtual time.

        Args:
            at_a_time: a claim takes no more, unless those at the head of the line may not go on.
        """
        batch = min(most, at_a_time or most)
        for _ in range(_TRIES):
            look = self._look(batch)
            if not (look.ready or look.freed):
                return []
            claimed, set_aside = self._take(batch, look, hints)
            if claimed or not set_aside:
                return claimed
            batch = most
        return []

    def claim_newcomers(self, most: int, here: Collection[UUID], hints: Hints) -> list[Claimed]:
        """Take up to `most` runs near the head of the line, of organizations that are not `here`.

        A full worker does, so that one organization's crowd keeps no other from beginning.
        """
        marks = {f"here_{n}": self._sql.id(org) for n, org in enumerate(here)}
        text = st.NEWCOMERS.replace("KNOWN", ", ".join(f":{mark}" for mark in marks))
        look = self._look(most, text, marks | {"most": most})
        return self._take(most, look, hints)[0] if look.newcomers else []

    def _take(self, most: int, look: Look, hints: Hints) -> tuple[list[Claimed], int]:
        """Return what was claimed, and how many runs were set aside instead."""
        held: list[at_gates.Held] = []
        with self._engine.connect() as connection, connection.begin():
            cursor = everywhere(self._sql, connection)
            rows = self._freed(cursor, most, look)
            freed = {row[at_gates.RUN] for row in rows}
            if look.newcomers is not None:
                runs = {f"run_{n}": run for n, run in enumerate(look.newcomers)}
                text = st.CLAIM_THESE.replace("RUNS", ", ".join(f":{mark}" for mark in runs))
                rows = self._claim(cursor, text, most, **runs)
            elif look.ready and len(rows) < most:
                rows += self._claim(cursor, st.CLAIM, most - len(rows), queue=self._queue)
            if look.gates and rows:
                rows, held = self._gates.admit(cursor, rows, freed)
            claimed = self._begin(cursor, rows)
            self._count_claimed(cursor, rows)
        for run in claimed:
            name = "run.started" if run.fresh else "run.resumed"
            self._tell(hints, run.run_id, run.organization_id, name, run.seq)
        for one in held:
            if one.is_news:
                run_id, org = (self._sql.read_id(key) for key in one.row[:2])
                self._tell(hints, run_id, org, f"run.{one.state}", one.row[at_gates.SEQ])
        return claimed, len(held)

    def _tell(self, hints: Hints, run_id: UUID, org: UUID, name: str, seq: int) -> None:
        run = public_id("run", run_id)
        hints.tell(f"run:{run}", name, seq)
        hints.tell(f"runs:{public_id('org', org)}", name, 0, run=run)

    def _freed(self, cursor: Any, most: int, look: Look) -> list[Any]:
        """Claim runs that were over a limit. While others stand in line, these have half of the
        places: a crowd behind a limit would be first each time it has room.
        """
        if look.freed and look.ready:
            self._turn = not self._turn
            most = most // 2 or int(self._turn)
        rows: list[Any] = []
        for limit, room in look.freed:
            if len(rows) < most:
                room = min(room, most - len(rows))
                rows += self._claim(cursor, st.CLAIM_FREED, room, limit=limit)
        return rows

    def _claim(self, cursor: Any, statement: str, most: int, **which: Any) -> list[Any]:
        worker = {"worker": self._worker, "boot": boot_id(), "lease_ms": self._lease_ms}
        cursor.execute(self._sql(statement), {**worker, **which, "most": most})
        rows: list[Any] = cursor.fetchall()
        return rows

    def _begin(self, cursor: Any, rows: list[Any]) -> list[Claimed]:
        """Write down that the claimed runs are at work, and return what is to be done."""
        at = now()
        moment = self._sql.moment(at)
        facts = [{"run": row[at_gates.RUN], "at": moment} for row in rows]
        runs = self._each(cursor, st.BEGIN_RUN, facts)
        begun = []
        for row, run in zip(rows, runs, strict=True):
            if run is None:  # it was deleted: what it leaves behind must not stop the others
                lost = {"run": row[at_gates.RUN], "fence": row[at_gates.FENCE]}
                cursor.execute(self._sql(st.DROP_LEASE), lost)
            else:
                begun.append((row, self._claimed(row, run, at)))
        told = {"at": moment, "data": self._sql.json({"worker": self._worker})}
        events = [
            told
            | {"run": row[at_gates.RUN], "org": row[at_gates.ORGANIZATION], "seq": run.seq}
            | {"type": "run.started" if run.fresh else "run.resumed"}
            for row, run in begun
        ]
        if events:
            cursor.executemany(self._sql(st.WRITE_EVENT), events)
        return [run for _, run in begun]

    def _each(self, cursor: Any, statement: str, facts: list[dict[str, Any]]) -> list[Any]:
        """Return the one row of a statement, or None, for each of `facts`."""
        text = self._sql(statement)
        if not self._sql.postgresql:
            return [cursor.execute(text, one).fetchone() for one in facts]
        with cursor.connection.pipeline():  # one round trip instead of one for each
            asked = [cursor.connection.cursor().execute(text, one) for one in facts]
        return [one.fetchone() for one in asked]

    def _claimed(self, row: Any, run: Any, at: datetime) -> Claimed:
        run_key, org_key, fence, seq, ran_ms, done, cost, cancel_at = row[:8]
        part = self._sql.read_json(run[12])
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
            parent=None if run[8] is None else (self._sql.read_id(run[8]), run[9]),
            depth=run[10],
            has_journal=fence > 1 or run[11] is not None or bool((part or {}).get("reused")),
            part=part,
            limit_nano=run[13],
        )

    def _count_claimed(self, cursor: Any, rows: list[Any]) -> None:
        """Free the places in line of runs that were claimed for the first time."""
        first: dict[Any, list[Any]] = {}
        for row in rows:
            if row[at_gates.FENCE] == 1:
                first.setdefault(row[at_gates.ORGANIZATION], []).append(row)
        minute = int(now().timestamp() // 60)
        for organization in sorted(first):  # in one order, or two claims wait for each other
            turns = first[organization]
            cursor.execute(
                self._sql(st.FAIR_CLAIMED),
                {
                    "count": sum(row[at_gates.WORKFLOW] is not None for row in turns),
                    "vtime": max(row[at_gates.VTIME] for row in turns),
                    "minute": minute,
                    "queue": self._queue,
                    "org": organization,
                },
            )

    def release(self, run_id: UUID, fence: int, hints: Hints) -> None:
        """Give back a run that this worker holds but does not work on."""
        held = {"run": self._sql.id(run_id), "fence": fence}
        with self._engine.connect() as connection, connection.begin():
            count = self._requeue(
                everywhere(self._sql, connection), st.RELEASE, held, "released", hints
            )
        if count:
            hints.ring(self._queue)

    def beat(self) -> dict[UUID, Held]:
        """Renew the leases of all runs this worker holds, and return which those are."""
        with self._engine.connect() as connection, connection.begin():
            cursor = everywhere(self._sql, connection)
            cursor.execute(self._sql(st.BEAT), {"worker": self._worker, "lease_ms": self._lease_ms})
            return {
                self._sql.read_id(run): Held(fence, cancel_at is not None, pause_at is not None)
                for run, fence, cancel_at, pause_at in cursor.fetchall()
            }

    def see(self, row: dict[str, Any]) -> None:
        """Write down that this worker lives, for /status and the staff pages."""
        with self._engine.connect() as connection, connection.begin():
            moments = {name: self._sql.moment(row[name]) for name in ("started_at", "seen_at")}
            everywhere(self._sql, connection).execute(self._sql(st.SEEN), row | moments)

    def take_back(self, hints: Hints) -> int:
        """Put runs back in line whose worker went silent or whose time to wait is over.

        Returns how many.
        """
        boot = {"boot": boot_id()}
        if _WALL.jumped():
            with self._engine.connect() as connection, connection.begin():
                everywhere(self._sql, connection).execute(self._sql(st.LOOK_AGAIN))
        if not self._any(st.ANY_LOST, boot):
            return 0
        with self._engine.connect() as connection, connection.begin():
            cursor = everywhere(self._sql, connection)
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
        for run, org, seq, state, held_by in rows:
            name, parked = "run.requeued", {"state": "queued", "reason": cause}
            if state == "paused":
                name, parked = "run.paused", {"state": state, "reason": held_by}
            cursor.execute(self._sql(st.PARK_RUN), {"run": run, **parked})
            cursor.execute(
                self._sql(st.WRITE_EVENT),
                {
                    "run": run,
                    "org": org,
                    "seq": seq,
                    "at": self._sql.moment(now()),
                    "type": name,
                    "data": self._sql.json({"cause": cause}),
                },
            )
            hints.tell(f"run:{public_id('run', self._sql.read_id(run))}", name, seq)
        return len(rows)

    def streamed(self, runs: list[UUID]) -> None:
        """Write down that these runs of this worker get on, though their journals say nothing."""
        if not runs:
            return
        with self._engine.connect() as connection, connection.begin():
            facts = [{"run": self._sql.id(run), "worker": self._worker} for run in sorted(runs)]
            everywhere(self._sql, connection).executemany(self._sql(st.STREAMED), facts)

    def _look(self, most: int, newcomers: str = "", facts: dict[str, Any] | None = None) -> Look:
        """Look for work, on a connection that is kept: a busy worker looks all the time."""
        ready, limited, gates, paused = self._ask(st.LOOK, {"queue": self._queue})[0]
        ready, limited = bool(ready and not paused), bool(limited and not paused)
        if newcomers:
            known = {"queue": self._queue, **(facts or {})}
            found = [row[0] for row in self._ask(newcomers, known)] if ready else []
            return Look(False, [], bool(gates), found)
        freed = self._ask(st.FREE_GATES, {"most": most}) if limited else []
        return Look(ready, freed, bool(gates))

    def _ask(self, statement: str, facts: dict[str, Any]) -> list[Any]:
        try:
            if self._looking is None:
                self._looking = self._engine.connect()
                self._driver = alone(self._sql, self._looking)
            found: list[Any] = self._driver.execute(self._sql(statement), facts).fetchall()
            return found
        except BaseException:
            if self._looking is not None:
                self._looking.invalidate()
            self.close()
            raise

    def close(self) -> None:
        """Give back the connection that is kept."""
        connection, self._looking = self._looking, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    def _any(self, statement: str, facts: dict[str, Any]) -> bool:
        """Whether there is anything to do, without taking the writer's place to find out."""
        with reading(), self._engine.connect() as connection, connection.begin():
            cursor = everywhere(self._sql, connection)
            cursor.execute(self._sql(statement), facts)
            return cursor.fetchone() is not None
