"""Runs that a step of another run starts: once for each path, and ended with it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.orm import Session

from webapp.access.context import Actor, Context
from webapp.access.permissions import Role
from webapp.engine.errors import StepError
from webapp.kernel.db import Sessions, is_away, writing
from webapp.kernel.errors import AppError, Conflict, Invalid, LimitReached, NotFound
from webapp.kernel.hints import Bell, Hints
from webapp.kernel.ids import parse_id, public_id
from webapp.kernel.settings import Settings
from webapp.runs import service, starting
from webapp.runs.execution.claims import Claimed

log = logging.getLogger(__name__)

_LONGEST_PAUSE_S: Final = 5.0


class ChildRuns:
    """`ports.Runs` of one claimed run; each call is a transaction of its own."""

    def __init__(
        self, sessions: Sessions, settings: Settings, bell: Bell, claimed: Claimed
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._bell = bell
        self._claimed = claimed

    async def start(
        self, path: str, workflow: str, version: str | int, inputs: Mapping[str, Any]
    ) -> str:
        """Start the run, or find it; a full queue is waited for until the step's time is over."""
        pause = 0.1
        while True:
            try:
                return await asyncio.to_thread(self._start, path, workflow, version, inputs)
            except LimitReached:
                pass
            except AppError as error:
                raise _step_error(error, workflow) from None
            except Exception as error:
                if not is_away(error):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def cancel(self, run: str) -> None:
        """Ask in a thread; should that be lost, the end of this run cancels what it started."""
        threading.Thread(target=self._cancel, args=(run,), name="cancel", daemon=True).start()

    def _start(self, path: str, workflow: str, version: Any, inputs: Mapping[str, Any]) -> str:
        mine = self._claimed
        hints = Hints()
        with writing(), self._sessions() as session:
            run = starting.start_run_once(
                self._context(session, hints),
                parse_id("wf", workflow),
                dict(inputs),
                version,
                key=f"child:{mine.public}:{path}",
                parent=starting.Parent(mine.run_id, path, mine.depth),
            )
            session.commit()
        hints.flush(self._bell)
        return public_id("run", run.id)

    def _cancel(self, run: str) -> None:
        hints = Hints()
        try:
            with writing(), self._sessions() as session:
                service.cancel_run(self._context(session, hints), parse_id("run", run))
                session.commit()
            hints.flush(self._bell)
        except Conflict:
            log.debug("run %s was over before it was cancelled", run)
        except Exception as error:
            if not is_away(error):
                log.exception("run %s was not cancelled yet", run)

    def _context(self, session: Session, hints: Hints) -> Context:
        mine = self._claimed
        actor = Actor("system", None, mine.started_by_name, Role.MEMBER)
        return Context(session, mine.organization_id, actor, self._settings, mine.public, hints)


def _step_error(error: AppError, workflow: str) -> StepError:
    facts = {"workflow": workflow}
    if isinstance(error, Invalid) and error.errors:
        wrong = " ".join(f"{one.pointer.strip('/')}: {one.detail}" for one in error.errors[:5])
        text = f"The workflow does not take these inputs. {wrong}"
        return StepError("E-CHILD-INPUTS", text, proven=True, retryable=False, facts=facts)
    if isinstance(error, NotFound):
        text = "The workflow that this step starts is not there any more. Choose another."
        return StepError("E-CHILD-GONE", text, proven=True, retryable=False, facts=facts)
    text = f"The workflow could not be started. {error.title}"
    return StepError("E-CHILD-START", text, proven=True, retryable=False, facts=facts)
