"""Is the machine well? Each part in a word and a sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import redis
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.access.tenancy import across_organizations
from webapp.kernel.breakers import Breakers
from webapp.kernel.caches import Figures
from webapp.kernel.caches.tallies import tallied
from webapp.kernel.clock import now
from webapp.kernel.db import is_away
from webapp.live.presence import PARTS, present
from webapp.organizations.models import Organization
from webapp.runs.models import QueueSetting, WorkerSeen
from webapp.runs.starting import QUEUE
from webapp.runs.traffic import traffic_of_machine
from webapp.runs.words import runs_wait

_SILENT: Final = timedelta(seconds=30)
_MOST: Final = 1000
# What people miss while a part of the steward is away.
_MISSED: Final = {
    "clock": "Nothing is tidied away, and last uses are not written down.",
    "relay": "What is to be sent waits.",
    "sweep": "Runs of workers that died are taken back by other workers only.",
}


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
    """Return the state of each part of the machine, and one word for all."""
    parts = {"web": Part("ok", "It answers."), **_redis(client), "services": _services(client)}
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


def _redis(client: redis.Redis | None) -> dict[str, Part]:
    """Return Redis itself, and the parts of the steward that leave their marks there."""
    try:
        found = present(client) if client is not None else None
    except (redis.RedisError, OSError):
        found = None
    if found is None:
        silent = "It does not answer. Runs start within 2 s instead of at once."
        unknown = Part("slow", "Not known while Redis does not answer.")
        return {"redis": Part("slow", silent)} | dict.fromkeys(PARTS, unknown)
    return {"redis": Part("ok", "It answers.")} | {
        part: Part("ok", "At work.")
        if there
        else Part("slow", f"Not seen for 30 s. {_MISSED[part]}")
        for part, there in found.items()
    }


def _services(client: redis.Redis | None) -> Part:
    """Count the services that are left alone. They are not ours, so the machine is well."""
    breakers = Breakers(client)
    count = len(breakers.shut())
    if breakers.is_alone:
        return Part("slow", "Not known while Redis does not answer.")
    if not count:
        return Part("ok", "None is left alone.")
    text = f"{count:,} outside services are" if count > 1 else "One outside service is"
    return Part("ok", f"{text} left alone until it is well. Steps that need it wait.")


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """An outside service that is not asked now.

    Attributes: again_at: when it may be asked; None: that is being tried.
    """

    service: str
    organization: str
    why: str
    again_at: datetime | None


@dataclass(frozen=True, slots=True)
class Outside:
    """Attributes: left_alone: None while Redis is away."""

    left_alone: list[LeftAlone] | None
    cache: Figures | None


@requires(Permission.USE_STAFF_PAGES)
def outside(ctx: Context, client: redis.Redis | None) -> Outside:
    """Return which outside services are left alone, and what the caches of all workers did."""
    breakers = Breakers(client)
    shut = breakers.shut()
    if client is None or breakers.is_alone:
        return Outside(None, None)
    names = _names(ctx, {UUID(one.organization) for one in shut})
    left_alone = [
        LeftAlone(
            one.service,
            names.get(UUID(one.organization), "An organization that is gone"),
            one.why,
            now() + timedelta(seconds=one.wait_s) if one.wait_s else None,
        )
        for one in shut
    ]
    try:
        return Outside(left_alone, tallied(client))
    except (redis.RedisError, OSError):
        return Outside(left_alone, None)


def _names(ctx: Context, ids: set[UUID]) -> dict[UUID, str]:
    if not ids:
        return {}
    with across_organizations(ctx.session, "names beside services that are left alone"):
        rows = ctx.session.execute(
            select(Organization.id, Organization.name).where(Organization.id.in_(ids))
        )
        return {row.id: row.name for row in rows}


def _workers(session: Session) -> Part:
    alive = session.scalar(
        select(func.count()).select_from(WorkerSeen).where(WorkerSeen.seen_at > now() - _SILENT)
    )
    if not alive:
        return Part("down", "No worker was seen for 30 s. Runs wait in line.")
    return Part("ok", f"{alive} at work.")


def _queue(session: Session) -> Part:
    found = traffic_of_machine(session)
    are = "is" if found.running == 1 else "are"
    said = f"{runs_wait(found.waiting)}, {found.running:,} {are} at work"
    said += f", {found.begun_a_minute:,} began in the last minute"
    if found.oldest_s is not None:
        said += f"; the oldest in line has waited for {found.oldest_s:,} s"
    setting = session.get(QueueSetting, QUEUE)
    if setting is not None and setting.paused_at is not None:
        return Part("slow", f"Paused by {setting.paused_by}. {said}.")
    return Part("ok" if found.waiting < _MOST else "slow", f"{said}.")
