"""The engine's journal of one run, kept in the database behind the run's fence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from webapp.engine.journal import Batch, End, Event, HandBack, LostLease, Park, Record
from webapp.engine.ledger import Entry
from webapp.files.shelf import Shelf
from webapp.kernel import jsons
from webapp.kernel.clock import boot_id, boot_ms, now
from webapp.kernel.rawsql import Sql
from webapp.runs.execution.approvals import Statement, statement_for
from webapp.runs.execution.claims import Claimed
from webapp.runs.execution.writer import JournalWriter
from webapp.runs.execution.writes import Write
from webapp.runs.models import PART
from webapp.spending.entries import row_of

log = logging.getLogger(__name__)

INLINE_BYTES: Final = 32 * 1024
"""Larger results go to the shelf, so that rows stay small."""

_STARTS_RUNS: Final = frozenset({"workflow", PART})
_BEGUN: Final = frozenset({"intent", "waiting"})


class RunJournal:
    """`ports.Journal` of one claimed run."""

    def __init__(
        self,
        claimed: Claimed,
        writer: JournalWriter,
        sql: Sql,
        shelf: Shelf,
        worker: str,
        lease_ms: int,
    ) -> None:
        self._claimed = claimed
        self._writer = writer
        self._sql = sql
        self._shelf = shelf
        self._lease_ms = lease_ms
        self._public = claimed.public
        self._seq = claimed.seq
        self._every_row = {
            "run": sql.id(claimed.run_id),
            "org": sql.id(claimed.organization_id),
            "fence": claimed.fence,
            "worker": worker,
        }
        self.renewed_ms = 0
        """When the lease was renewed last, by this machine's boot clock, at the earliest."""
        self.may_have_children = False
        """The plan has steps that start other runs."""

    async def commit(self, batch: Batch) -> None:
        """Make the batch durable; see `ports.Journal`."""
        ending = batch.end or batch.park
        await self._write(
            await self._rows(batch.records),
            batch.events,
            ending,
            done=batch.done_delta,
            cost=batch.cost_nano,
            ran_ms=round(batch.ran_s * 1000),
            begins=batch.has_intents,
            beside=[found for record in batch.records if (found := self._beside(record))],
            ledger=[self._entry(entry) for entry in batch.entries],
            ended=[record.path for record in batch.records if _ends_child(record)],
        )

    def _beside(self, record: Record) -> Statement | None:
        claimed = self._claimed
        return statement_for(record, claimed.run_id, claimed.organization_id, self._sql)

    def _entry(self, entry: Entry) -> dict[str, Any]:
        return row_of(entry, self._claimed.run_id, self._claimed.organization_id, self._sql)

    async def hand_back(self, back: HandBack) -> None:
        """Give the run to whoever claims it next, or let it rest while it is paused."""
        name = "run.paused" if back.cause == "paused" else "run.requeued"
        await self._write([], [Event(name, {"cause": back.cause})], back)

    async def _write(
        self,
        rows: list[dict[str, Any]],
        events: list[Event],
        ending: End | Park | HandBack | None,
        *,
        done: int = 0,
        cost: int = 0,
        ran_ms: int = 0,
        begins: bool = False,
        beside: Sequence[Statement] = (),
        ledger: Sequence[dict[str, Any]] = (),
        ended: Sequence[str] = (),
    ) -> None:
        loop = asyncio.get_running_loop()
        result_file = None
        if isinstance(ending, End) and ending.result is not None:
            _, result_file = await self._inline(ending.result)
        write = Write(
            run=self._claimed.run_id,
            public=self._public,
            organization=self._claimed.organization_id,
            fence=self._claimed.fence,
            lease_ms=self._lease_ms,
            rows=rows,
            events=events,
            done=done,
            cost=cost,
            ran_ms=ran_ms,
            begins=begins,
            ending=ending,
            after=self._seq,
            started_at=self._claimed.started_at,
            loop=loop,
            future=loop.create_future(),
            result_file=result_file,
            beside=beside,
            ledger=ledger,
            parent=self._claimed.parent,
            may_have_children=self.may_have_children,
            ended=ended,
            part=self._claimed.part,
        )
        self._writer.submit(write)
        self._seq = await write.future
        self.renewed_ms = max(self.renewed_ms, write.renewed_ms)
        if begins:
            self.check_held()

    def check_held(self) -> None:
        """Raise `LostLease` if the lease may be over: this process was stopped since it was renewed
        last, and what it is about to do may be another's.
        """
        if boot_ms() - self.renewed_ms > self._lease_ms:
            raise LostLease

    async def _rows(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        at = self._sql.moment(now())
        rows = []
        for record in records:
            row = self._row(record, at)
            if record.result is not None:
                row["result"], row["result_file"] = await self._inline(record.result)
            rows.append(row)
        return rows

    def _row(self, record: Record, at: Any) -> dict[str, Any]:
        due_s = record.due_s
        return self._every_row | {
            "path": record.path,
            "attempt": record.attempt,
            "step_id": record.step_id,
            "kind": record.kind,
            "state": record.state,
            "effect": record.effect,
            "idem_key": record.idem_key,
            "request": record.request,
            "result": None,
            "result_file": None,
            "error": self._sql.json(_error(record)),
            "started_at": at,
            "done_at": None if record.state in _BEGUN else at,
            "due_at": self._due(record),
            "due_in_ms": None if due_s is None else round(due_s * 1000),
            "boot": None if due_s is None else boot_id(),
            "cost": record.cost_nano,
            "tokens_in": record.tokens_in,
            "tokens_out": record.tokens_out,
        }

    def _due(self, record: Record) -> Any:
        due = record.due_at
        if due is None and record.due_s is not None:
            due = now() + timedelta(seconds=record.due_s)
        return self._sql.moment(due)

    async def _inline(self, value: Any) -> tuple[str | None, str | None]:
        """Return the JSON of a value, or the shelf's name of it when it is large."""
        text = jsons.dumps(value)
        if len(text) <= INLINE_BYTES:
            return text, None
        return None, await self._shelve(text.encode())

    async def _shelve(self, content: bytes) -> str:
        """Put a value on the shelf; as with the database, a full disk is waited for."""
        pause = 0.05
        while True:
            try:
                return await asyncio.to_thread(self._shelf.put, content)
            except OSError as error:
                log.warning("a large value waits for the disk: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)


def _ends_child(record: Record) -> bool:
    """Whether the run that the step has started, if it has, must not go on without it."""
    return record.kind in _STARTS_RUNS and (
        record.state in {"cancelled", "skipped"} or (record.state == "failed" and record.ends_path)
    )


def _error(record: Record) -> dict[str, Any] | None:
    if record.reason:
        return {"reason": record.reason} | (record.error or {})
    return record.error
