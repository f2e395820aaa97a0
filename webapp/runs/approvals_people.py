"""Whom an approval asks, and who may answer it: people, roles, whoever started the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import TEXT, ColumnElement, and_, cast, exists, or_

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission, Role
from webapp.api_keys.service import maker_of, role_of_key
from webapp.kernel.errors import NotFound
from webapp.kernel.ids import parse_id, public_id
from webapp.organizations.service import Member, members_of
from webapp.runs.models import Approval, Run

_ROLES: Final = {
    Role.OWNER: "owners",
    Role.ADMIN: "admins and owners",
    Role.MEMBER: "members, admins and owners",
    Role.VIEWER: "everybody here",
}
_RANKS: Final = {role: n for n, role in enumerate(Role)}  # the owner first, who may most
MOST_PARENTS: Final = 100
"""More than can stand above a run: ten that start each other, with parts of lists between them."""
_NOBODY: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Voice:
    """Who answers. A key speaks for the person who made it, so that one person has one voice.

    Attributes: by_role: a key that no person made, and that has a role that is asked.
    """

    id: UUID
    name: str
    by_role: bool = False


@dataclass(slots=True)
class Known:
    """Members and makers of keys, asked for once however many approvals are looked at."""

    members: list[Member]
    makers: dict[UUID, UUID | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who may answer one approval, now.

    Attributes:
        members: the people who are asked; the starter is left out if they may not answer.
        deputy: may answer in place of one of them.
        starter: the person behind the run, if there is one.
    """

    members: Sequence[Member]
    deputy: Member | None
    starter: Member | None
    words: str
    not_starter: bool
    started_by: UUID | None

    def may(self, voice: Voice) -> bool:
        if self.is_kept_out(voice.id):
            return False
        return voice.by_role or any(voice.id == member.id for member in self.everybody)

    def is_kept_out(self, person: UUID) -> bool:
        """Whether somebody may not answer only because they started the run."""
        return self.not_starter and person == self.started_by

    @property
    def everybody(self) -> list[Member]:
        deputy = self.deputy
        if deputy is None or self.is_kept_out(deputy.id) or deputy in self.members:
            return list(self.members)
        return [*self.members, deputy]


@requires(Permission.DECIDE_APPROVALS)
def known_here(ctx: Context) -> Known:
    """Return what `asked_by` needs of the organization."""
    return Known(members_of(ctx))


@requires(Permission.DECIDE_APPROVALS)
def asked_by(ctx: Context, row: Approval, run: Run, known: Known) -> Asked:
    """Return who is asked, as the organization is now: who left is not, who joined is."""
    members = known.members
    by_id = {member.id: member for member in members}
    started_by = starter_of(ctx, run, known)
    starter = by_id.get(started_by or _NOBODY)
    named = [member for member in members if any(_is(one, member, starter) for one in row.who)]
    if row.not_starter:
        named = [member for member in named if member.id != started_by]
    deputy = by_id.get(person_in(row.deputy or {}))
    words = _words(row.who, by_id, starter)
    return Asked(named, deputy, starter, words, row.not_starter, started_by)


def _is(one: dict[str, Any], member: Member, starter: Member | None) -> bool:
    if "role" in one:
        return reaches(member.role, one["role"])
    return member == starter if "starter" in one else member.id == person_in(one)


def reaches(role: Role | None, asked: str) -> bool:
    """Whether a role is the one that is asked, or one that may more."""
    return role is not None and _RANKS[role] <= _RANKS[Role(asked)]


def person_in(one: dict[str, Any]) -> UUID:
    try:
        return parse_id("usr", str(one.get("person", "")))
    except NotFound:
        return _NOBODY


def _words(who: list[dict[str, Any]], members: dict[UUID, Member], starter: Member | None) -> str:
    """Return whom it asks, as people read it: "Ada, admins and owners"."""
    found = []
    for one in who:
        if "role" in one:
            found.append(_ROLES[Role(one["role"])])
        elif "starter" in one:
            name = f" ({starter.person.name})" if starter is not None else ""
            found.append(f"whoever started it{name}")
        else:
            member = members.get(person_in(one))
            found.append(member.person.name if member is not None else "somebody who left")
    return "; ".join(found) if any(" and " in one for one in found[:-1]) else _listed(found)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


@requires(Permission.DECIDE_APPROVALS)
def starter_of(ctx: Context, run: Run, known: Known) -> UUID | None:
    """Return the person behind a run: of a key its maker, of a run's run the first one's."""
    for _ in range(MOST_PARENTS):
        if run.parent_run is None or (above := ctx.session.get(Run, run.parent_run)) is None:
            break
        run = above
    if run.started_by_kind == "key" and run.started_by is not None:
        return _maker(ctx, run.started_by, known) or run.started_by
    return run.started_by if run.started_by_kind == "person" else None


def _maker(ctx: Context, key_id: UUID, known: Known) -> UUID | None:
    if key_id not in known.makers:
        known.makers[key_id] = maker_of(ctx, key_id)
    return known.makers[key_id]


@requires(Permission.DECIDE_APPROVALS)
def voice_of(
    ctx: Context, who: list[dict[str, Any]], started_by: UUID | None, known: Known
) -> Voice:
    """Return who speaks here, of an approval that asks `who`."""
    actor = ctx.actor
    if actor.kind != "key" or actor.id is None:
        return Voice(actor.id or _NOBODY, actor.name)
    maker = _maker(ctx, actor.id, known)
    if maker is not None:
        return Voice(maker, actor.name)
    return Voice(actor.id, actor.name, _asks_key(who, actor.id, actor.role, started_by))


def _asks_key(
    who: list[dict[str, Any]], key_id: UUID, role: Role | None, started_by: UUID | None
) -> bool:
    """Whether a key that no person made is asked: it has the role, or started the run."""
    own = any("starter" in one for one in who) and key_id == started_by
    return own or any("role" in one and reaches(role, one["role"]) for one in who)


@requires(Permission.DECIDE_APPROVALS)
def still_asked(
    ctx: Context, row: Approval, people: Asked, voices: Mapping[UUID, str]
) -> set[UUID]:
    """Return those of whoever agreed who are asked now: others have left, or it was passed on."""
    found = set()
    for voice, name in voices.items():
        if not people.may(Voice(voice, name)):
            role = role_of_key(ctx, voice)
            if role is None or not _asks_key(row.who, voice, role, people.started_by):
                continue
        found.add(voice)
    return found


@requires(Permission.DECIDE_APPROVALS)
def may_be_asked(ctx: Context, known: Known) -> ColumnElement[bool]:
    """Return a condition that all approvals meet which ask whoever looks, and few others."""
    actor = ctx.actor
    me = _maker(ctx, actor.id, known) if actor.kind == "key" and actor.id else actor.id
    standing = next((one.role for one in known.members if one.id == me), actor.role)
    words = [f'"{role.value}"' for role in Role if reaches(standing, role)]
    words += [public_id("usr", me)] if me is not None else []
    named = [cast(Approval.who, TEXT).contains(word) for word in words]
    mine = exists().where(
        Run.id == Approval.run_id,
        or_(Run.started_by == me, Run.started_by_kind != "person"),  # a key's maker, a run's run
    )
    named.append(and_(cast(Approval.who, TEXT).contains('"starter"'), mine))
    if me is not None:
        named.append(cast(Approval.deputy, TEXT).contains(public_id("usr", me)))
    return or_(*named)
