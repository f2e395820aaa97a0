"""Runs that a step of another run starts: once for each path, and ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.access.context import Actor, Context
from webapp.access.permissions import Role
from webapp.engine.compiled import nano
from webapp.engine.errors import StepError
from webapp.engine.parts import FREE, PartOrder
from webapp.engine.plan import Plan
from webapp.engine.steps.part import OWN_STEPS
from webapp.files.shelf import Shelf
from webapp.kernel.db import Sessions, is_away, reading, writing
from webapp.kernel.errors import AppError, Conflict, Invalid, LimitReached, NotFound
from webapp.kernel.hints import Bell, Hints
from webapp.kernel.ids import parse_id, public_id
from webapp.kernel.settings import Settings
from webapp.runs import parts, starting
from webapp.runs.execution.claims import Claimed
from webapp.runs.looking import plan_of_run
from webapp.runs.models import Run, Step
from webapp.runs.service import lock_lease

_LONGEST_PAUSE_S: Final = 5.0


class ChildRuns:
    """`ports.Runs` of one claimed run; each call is a transaction of its own.

    A start and the end of the step that wants it meet at the lease of the claimed run: whoever
    comes second knows of the first, so that nothing is started that nobody would end.
    """

    def __init__(
        self, sessions: Sessions, settings: Settings, bell: Bell, shelf: Shelf, claimed: Claimed
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._bell = bell
        self._shelf = shelf
        self._claimed = claimed

    async def start(
        self,
        path: str,
        workflow: str,
        version: str | int,
        inputs: Mapping[str, Any],
        limit_nano: int | None,
    ) -> tuple[str, int]:
        """Start the run, or find it; a full queue is waited for until the step's time is over."""
        mine = self._claimed

        def begin(ctx: Context) -> Run:
            return starting.start_run_once(
                ctx,
                parse_id("wf", workflow),
                dict(inputs),
                version,  # type: ignore[arg-type]  # as the step's settings have it
                key=f"child:{mine.public}:{path}",
                parent=starting.Parent(mine.run_id, path, mine.depth, mine.rehearses, limit_nano),
            )

        return await self._patiently(path, begin, {"workflow": workflow})

    async def start_part(self, path: str, order: PartOrder) -> str:
        """Start the run that does some items of a list, or find it."""
        items = await asyncio.to_thread(self._shelf.put, order.items)
        seen = await asyncio.to_thread(self._shelf.put, order.seen)
        kept = {"items": items, "seen": seen}

        def begin(ctx: Context) -> Run:
            run = ctx.session.get_one(Run, self._claimed.run_id)
            return parts.start_part(ctx, run, path, order.about | kept)

        run, _ = await self._patiently(path, begin, {"path": path})
        return run

    async def steps_beside(self, open_parts: Collection[str]) -> int | None:
        """Return how many steps the parts of the whole run have done that this run has not counted.

        Parts at work count, and of those that have ended the ones that this part was not told of.
        """
        try:
            return await asyncio.to_thread(self._steps_beside, frozenset(open_parts))
        except Exception as error:
            if is_away(error):
                return None
            raise

    def _steps_beside(self, open_parts: frozenset[str]) -> int:
        mine = self._claimed
        above = mine.parent[0] if mine.part is not None and mine.parent is not None else mine.run_id
        with reading(), self._sessions() as session:
            ctx = self._context(session, Hints())
            rows = parts.steps_done(ctx, above)
        beside = 0
        for row in rows:
            if row.run_id == mine.run_id:
                continue
            if row.is_at_work:
                beside += row.steps
            elif row.parent_run != above:
                beside -= 2 * OWN_STEPS  # the part above it counts it, and the list once more
            elif mine.part is not None and (row.path in open_parts or row.run_id > mine.run_id):
                beside += row.steps - OWN_STEPS
        return max(0, beside)

    async def _patiently(
        self, path: str, begin: Callable[[Context], Run], facts: dict[str, Any]
    ) -> tuple[str, int]:
        pause = 0.1
        while True:
            try:
                return await asyncio.to_thread(partial(self._start, path, begin))
            except LimitReached:
                pass
            except AppError as error:
                raise _step_error(error, facts) from None
            except Exception as error:
                if not is_away(error):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _start(self, path: str, begin: Callable[[Context], Run]) -> tuple[str, int]:
        hints = Hints()
        with writing(), self._sessions() as session:
            ctx = self._context(session, hints)
            self._check_wanted(ctx, path)
            run = begin(ctx)
            started = public_id("run", run.id), _may_spend(plan_of_run(ctx, run), run.limit_nano)
            session.commit()
        hints.flush(self._bell)
        return started

    def _check_wanted(self, ctx: Context, path: str) -> None:
        """Keep the lease until the start is committed, if the step still wants it.

        Raises:
            Conflict: the step has ended, or another worker has the run.
        """
        mine = self._claimed
        lease = lock_lease(ctx, mine.run_id)
        newest = select(Step.state).where(Step.run_id == mine.run_id, Step.path == path)
        state = ctx.session.scalar(newest.order_by(Step.attempt.desc()).limit(1))
        if lease is None or lease.fence != mine.fence or state != "intent":
            raise Conflict("E-CHILD-LATE")

    def _context(self, session: Session, hints: Hints) -> Context:
        mine = self._claimed
        actor = Actor("system", None, mine.started_by_name, Role.MEMBER)
        return Context(session, mine.organization_id, actor, self._settings, mine.public, hints)


def _may_spend(plan: Plan, limit_nano: int | None) -> int:
    """Return how much of what was handed to a run it may spend, by its own plan."""
    if limit_nano is None or all(step.kind in FREE for step in plan.walk()):
        return 0
    own = nano(plan.limits.cost_usd)
    return limit_nano if own is None else min(own, limit_nano)


def _step_error(error: AppError, facts: dict[str, Any]) -> StepError:
    if isinstance(error, Invalid) and error.errors:
        wrong = " ".join(f"{one.pointer.strip('/')}: {one.detail}" for one in error.errors[:5])
        text = f"The workflow does not take these inputs. {wrong}"
        return StepError("E-CHILD-INPUTS", text, proven=True, retryable=False, facts=facts)
    if isinstance(error, NotFound):
        text = "The workflow that this step starts is not there any more. Choose another."
        return StepError("E-CHILD-GONE", text, proven=True, retryable=False, facts=facts)
    text = f"The workflow could not be started. {error.title}"
    return StepError("E-CHILD-START", text, proven=True, retryable=False, facts=facts)
