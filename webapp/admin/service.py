"""Is the machine well? Each part in a word and a sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

import redis
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from webapp.access.tenancy import across_organizations
from webapp.kernel.clock import now
from webapp.kernel.db import is_away
from webapp.runs.models import Lease, WorkerSeen

_SILENT: Final = timedelta(seconds=30)
_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the machine: `state` is ok, slow or down."""

    state: str
    text: str


def database_answers(session: Session) -> bool:
    """Whether a statement goes through."""
    try:
        session.execute(select(1))
    except Exception as error:
        if not is_away(error):
            raise
        return False
    return True


def machine_status(session: Session, client: redis.Redis | None) -> dict[str, Any]:
    """Return the state of the database, Redis, the workers and the queue, and one word for all."""
    parts = {"web": Part("ok", "It answers."), "redis": _redis(client)}
    try:
        with across_organizations(session, "machine status"):
            parts["database"] = Part("ok", "It answers.")
            parts["workers"] = _workers(session)
            parts["queue"] = _queue(session)
    except SQLAlchemyError as error:
        if not is_away(error):
            raise
        parts["database"] = Part("down", "It does not answer. Runs wait and go on when it is back.")
    states = {part.state for part in parts.values()}
    worst = "down" if parts["database"].state == "down" else "slow" if states - {"ok"} else "ok"
    return {"status": worst, "parts": {name: asdict(part) for name, part in parts.items()}}


def _redis(client: redis.Redis | None) -> Part:
    try:
        if client is not None and client.ping():
            return Part("ok", "It answers.")
    except (redis.RedisError, OSError):
        pass
    return Part("slow", "It does not answer. Runs start within 2 s instead of at once.")


def _workers(session: Session) -> Part:
    alive = session.scalar(
        select(func.count()).select_from(WorkerSeen).where(WorkerSeen.seen_at > now() - _SILENT)
    )
    if not alive:
        return Part("down", "No worker was seen for 30 s. Runs wait in line.")
    return Part("ok", f"{alive} at work.")


def _queue(session: Session) -> Part:
    some = select(Lease.run_id).where(Lease.state == "ready").limit(_MOST).subquery()
    waiting = session.scalar(select(func.count()).select_from(some)) or 0
    shown = f"{_MOST:,}+" if waiting == _MOST else f"{waiting:,}"
    return Part("ok" if waiting < _MOST else "slow", f"{shown} runs wait.")
