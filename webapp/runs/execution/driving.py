"""Brings one claimed run on: reads what it needs, drives its plan, and settles it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

from webapp.engine.compiled import nano
from webapp.engine.driver import drive
from webapp.engine.errors import StepError
from webapp.engine.journal import (
    Batch,
    CancelRequested,
    End,
    Event,
    HandBack,
    LostLease,
    Park,
)
from webapp.engine.mailbox import Mailbox
from webapp.engine.parts import Part, read_part
from webapp.engine.plan import Limits, Plan, PlanTooNew
from webapp.kernel.db import is_away
from webapp.kernel.ids import new_id, public_id
from webapp.runs.execution.claims import Claimed
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.outside import Outside
from webapp.runs.execution.readings import MOST_LOSSES, Readings
from webapp.runs.plans import KnownPlan, known_plan, learn_plan

log = logging.getLogger(__name__)

_NEWER_WORKER_S: Final = 30.0

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Active:
    """A run this worker works on."""

    claimed: Claimed
    cancel: asyncio.Event
    pause: asyncio.Event = field(default_factory=asyncio.Event)
    mailbox: Mailbox = field(default_factory=Mailbox)
    task: asyncio.Task[None] | None = None
    journal: RunJournal | None = None


@dataclass(slots=True)
class Driving:
    """What all runs of one worker need to be driven.

    Attributes:
        in_thread: asks the database beside the loop.
        stop: set when the worker is to go.
        each_split: longer lists are done in parts of so many items.
    """

    readings: Readings
    outside: Outside
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]]
    stop: asyncio.Event
    each_split: int
    _slugs: dict[UUID, str] = field(default_factory=dict)

    async def run(self, active: Active, journal: RunJournal) -> None:
        """Work on the run until it is settled or another's; only a cancellation is raised."""
        name = active.claimed.public
        try:
            await self._bring_on(active, journal)
        except LostLease:
            log.info("run %s went to another worker", name)
        except CancelRequested:
            log.info("run %s is to be cancelled, and this worker can't read it", name)
        except Exception as error:
            if is_away(error):
                log.warning("run %s waits for the database", name)
            else:
                log.exception("run %s is given back", name)

    async def _bring_on(self, active: Active, journal: RunJournal) -> None:
        """Drive the run and settle it; what is raised leaves it to whoever claims it next."""
        claimed = active.claimed
        try:
            outcome = await self._drive(active, journal)
            if isinstance(outcome, HandBack):
                await journal.hand_back(outcome)
        except PlanTooNew:
            log.warning("run %s needs a newer worker", claimed.public)
            await journal.commit(Batch(park=Park("time", due_in_s=_NEWER_WORKER_S)))
        except Exception as error:
            if is_away(error):
                raise
            await self._fail(claimed, journal, error)

    async def _drive(self, active: Active, journal: RunJournal) -> Any:
        claimed = active.claimed
        known, slug = await self._plan(claimed)
        journal.may_have_children = known.starts_runs
        records, losses, part = [], 0, None
        if claimed.part is not None:
            part = await self.in_thread(lambda: self._part(claimed, known.plan))
            claimed = replace(claimed, inputs=dict(part.seen.get("start") or {}))
        if claimed.has_journal:
            active.mailbox.put(await self.in_thread(lambda: self.readings.signals(claimed)))
            records = await self.in_thread(lambda: self.readings.records(claimed))
            losses = await self.in_thread(lambda: self.readings.losses(claimed))
        return await drive(
            known.plan,
            claimed.inputs,
            await self._facts(claimed, known.number, slug),
            records,
            journal,
            self.outside.ports(claimed),
            _limits(claimed, known.plan, part),
            spent_s=claimed.ran_s,
            stop=self.stop,
            cancel=active.cancel,
            pause=active.pause,
            refused=_lost_too_often(losses) if losses >= MOST_LOSSES else None,
            mailbox=active.mailbox,
            part=part,
            each_split=self.each_split,
        )

    def _part(self, claimed: Claimed, plan: Plan) -> Part:
        """Fetch what a run does that is a part of another."""
        about, shelf = claimed.part or {}, self.outside.shelf
        return read_part(about, shelf.get(about["items"]), shelf.get(about["seen"]), plan.limits)

    async def _facts(self, claimed: Claimed, number: int | None, slug: str) -> dict[str, Any]:
        """Return the run's facts; only those of files have to be asked for."""
        if not any(isinstance(value, dict) for value in claimed.inputs.values()):
            return self.outside.facts(claimed, number, slug)
        return await self.in_thread(lambda: self.outside.facts(claimed, number, slug))

    async def _plan(self, claimed: Claimed) -> tuple[KnownPlan, str]:
        """Return the run's version and its organization's slug, asked once a worker."""
        known = known_plan(claimed.version_id)
        slug = self._slugs.get(claimed.organization_id)
        if known is not None and slug is not None:
            return known, slug
        document, number, found = await self.in_thread(lambda: self.readings.plan(claimed))
        slug = self._slugs[claimed.organization_id] = found
        return learn_plan(claimed.version_id, claimed.workflow_id, number, document), slug

    async def _fail(self, claimed: Claimed, journal: RunJournal, cause: Exception) -> None:
        """End a run that met a bug of ours, with a reference that the log explains."""
        ref = public_id("err", new_id())[-8:]
        log.error("run %s failed on our side, %s", claimed.public, ref, exc_info=cause)
        error = {
            "code": "E-OURS",
            "text": f"Something went wrong on our side. The code {ref} stands in the log.",
            "ref": ref,
        }
        await journal.commit(
            Batch(
                events=[Event("run.failed", {"code": "E-OURS"})],
                end=End("failed", error=error),
            )
        )


def _limits(claimed: Claimed, plan: Plan, part: Part | None) -> Limits:
    """Return the limits of a run: its plan's, or less by those around the step that started it."""
    limits = plan.limits if part is None else part.limits
    own, handed = nano(limits.cost_usd), claimed.limit_nano
    if handed is None or (own is not None and own <= handed):
        return limits
    return limits.model_copy(update={"cost_usd": f"{Decimal(handed).scaleb(-9):f}"})


def _lost_too_often(losses: int) -> StepError:
    text = f"{losses} workers stopped one after the other while they worked on this run."
    return StepError("E-RUN-LOST", text, proven=True, retryable=False, facts={"count": losses})
