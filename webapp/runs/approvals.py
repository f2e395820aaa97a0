"""Answer what a run asks people.

An answer is one UPDATE of an open row, under the run's lease: of two people who answer at once,
one is told of the other. On a page it can be taken back for five seconds, and only then is the
run told (`approvals_keeping.py`); a program's answer holds at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import delete, select, update

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.steps.approval import seal_of
from webapp.kernel.clock import now
from webapp.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from webapp.kernel.ids import public_id
from webapp.runs import approvals_answers
from webapp.runs.approvals_people import (
    Asked,
    Known,
    Voice,
    asked_by,
    known_here,
    may_be_asked,
    still_asked,
    voice_of,
)
from webapp.runs.families import wholes_of
from webapp.runs.models import Approval, ApprovalPerson, Lease, Run, Step
from webapp.runs.schemas import ApprovalDecision
from webapp.runs.service import add_event, deliver, lock_lease

HOLD: Final = timedelta(seconds=5)
MOST_READ: Final = 200
"""Approvals in one question; who is asked is known for sure only behind it."""
Via = Literal["page", "mail", "api"]
SAID: Final = {"approve": "approved", "reject": "rejected", "changes": "asked for changes to"}


@dataclass(slots=True)
class Found:
    """One approval with everything that its page, its mail and its answer need.

    Attributes:
        asked: what the step froze: who, show, edit, questions, words.
        agreed: who has agreed so far, when several must; while it is open, of those who are
            asked now.
        can_answer: whoever looks is asked, and has not agreed yet.
        whole: the run that stands in lists; the one that asks may be a part of it.
    """

    row: Approval
    run: Run
    asked: dict[str, Any]
    people: Asked
    agreed: dict[UUID, str]
    voice: Voice
    whole: UUID

    @property
    def id(self) -> str:
        return public_id("apr", self.row.id)

    @property
    def edited(self) -> dict[str, Any]:
        """What was edited so far, by name. Whoever edits takes the votes of all others back, so
        nothing is when nobody stands behind it any more.
        """
        return (self.row.values or {}) if self.agreed else {}

    @property
    def values(self) -> dict[str, Any]:
        """What is to be checked by name, as it was edited so far."""
        return {one["name"]: one["value"] for one in self.asked["show"]} | self.edited

    @property
    def shown(self) -> str:
        """Return the SHA-256 of all that is shown; an answer names what it answers."""
        return sha256(to_bytes([seal_of(self.asked), self.edited])).hexdigest()

    @property
    def needed(self) -> int:
        return self.row.need or max(1, len(self.people.members))

    @property
    def reachable(self) -> int:
        """How many people have a say, or had it: those asked who are here and may answer."""
        found = {member.id for member in self.people.everybody} | set(self.agreed)
        starter = self.people.started_by
        is_key = self.run.started_by_kind == "key" and self.run.started_by == starter
        if starter is not None and is_key:  # one that nobody made, which answers for itself
            found |= {starter for one in self.row.who if "starter" in one}
        return len(found)

    @property
    def is_enough(self) -> bool:
        return len(self.agreed) >= self.needed

    @property
    def can_answer(self) -> bool:
        return self.row.state == "open" and self.people.may(self.voice) and not self.has_spoken

    @property
    def has_spoken(self) -> bool:
        """Whoever looks has agreed, and others must. When those have left, they are asked anew."""
        return self.voice.id in self.agreed and not self.is_enough

    @property
    def can_take_back(self) -> bool:
        row = self.row
        held = row.effective_at is not None and row.effective_at > now()
        return row.state == "decided" and held and row.decided_by == self.voice.id


@requires(Permission.DECIDE_APPROVALS)
def find_approval(ctx: Context, approval_id: UUID) -> Found:
    """Return one approval; whoever may see runs may see what they ask."""
    return _found(ctx, ctx.get(Approval, approval_id), known_here(ctx))


@requires(Permission.DECIDE_APPROVALS)
def open_in_run(ctx: Context, run_id: UUID) -> list[Found]:
    """Return what a run asks at present, and what was answered a moment ago."""
    rows = ctx.session.scalars(
        select(Approval)
        .where(
            Approval.run_id == run_id,
            (Approval.state == "open")
            | ((Approval.state == "decided") & (Approval.effective_at > now())),
        )
        .order_by(Approval.id)
        .limit(20)
    ).all()
    return _found_all(ctx, rows, known_here(ctx)) if rows else []


@requires(Permission.DECIDE_APPROVALS)
def open_for_me(ctx: Context, after: UUID | None = None, most: int = 200) -> list[Found]:
    """Return what is asked of whoever looks, the newest first."""
    known = known_here(ctx)
    query = select(Approval).where(Approval.state == "open", may_be_asked(ctx, known))
    query = query.order_by(Approval.id.desc()).limit(MOST_READ)
    mine: list[Found] = []
    while len(mine) < most:
        before = query if after is None else query.where(Approval.id < after)
        rows = ctx.session.scalars(before).all()
        mine += [one for one in _found_all(ctx, rows, known) if one.can_answer] if rows else []
        if len(rows) < MOST_READ:
            break
        after = rows[-1].id
    return mine[:most]


def _found(ctx: Context, row: Approval, known: Known) -> Found:
    found = _found_all(ctx, [row], known)
    if not found:
        raise NotFound()
    return found[0]


def _found_all(ctx: Context, rows: Sequence[Approval], known: Known) -> list[Found]:
    """Return these approvals, in few questions however many there are."""
    run_ids = {row.run_id for row in rows}
    runs = {run.id: run for run in ctx.session.scalars(select(Run).where(Run.id.in_(run_ids)))}
    wholes = wholes_of(ctx, list(runs.values()))
    asked = _asked_by_steps(ctx, rows)
    agreed = _agreed(ctx, rows)
    found = []
    for row in rows:
        run, frozen = runs.get(row.run_id), asked.get((row.run_id, row.path, row.round))
        if run is None or frozen is None:
            continue
        people = asked_by(ctx, row, run, known)
        voice = voice_of(ctx, row.who, people.started_by, known)
        names = agreed.get(row.id, {})
        if row.state == "open":
            counted = still_asked(ctx, row, people, names)
            names = {one: name for one, name in names.items() if one in counted}
        found.append(Found(row, run, frozen, people, names, voice, wholes[run.id]))
    return found


def _asked_by_steps(
    ctx: Context, rows: Sequence[Approval]
) -> dict[tuple[UUID, str, int], dict[str, Any]]:
    """Return what the steps of these approvals froze."""
    query = select(Step.run_id, Step.path, Step.attempt, Step.request).where(
        Step.organization_id == ctx.organization_id,
        Step.run_id.in_({row.run_id for row in rows}),
        Step.path.in_({row.path for row in rows}),
        Step.kind == "approval",
        Step.request.is_not(None),
    )
    return {
        (run, path, attempt): from_bytes(request or b"")["approval"]
        for run, path, attempt, request in ctx.session.execute(query)
    }


def _agreed(ctx: Context, rows: Sequence[Approval]) -> dict[UUID, dict[UUID, str]]:
    """Return who has agreed so far, by approval."""
    query = select(ApprovalPerson.approval_id, ApprovalPerson.person_id, ApprovalPerson.name).where(
        ApprovalPerson.organization_id == ctx.organization_id,
        ApprovalPerson.approval_id.in_([row.id for row in rows]),
        ApprovalPerson.agreed_at.is_not(None),
    )
    found: dict[UUID, dict[UUID, str]] = {}
    for approval, person, name in ctx.session.execute(query):
        found.setdefault(approval, {})[person] = name
    return found


def _step_of(ctx: Context, row: Approval) -> Step | None:
    return ctx.session.get(Step, (row.run_id, row.path, row.round), populate_existing=True)


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of an answer: it decided, it counts, or somebody was first."""

    how: Literal["decided", "counted", "before"]
    found: Found


@requires(Permission.DECIDE_APPROVALS)
def decide(
    ctx: Context, approval_id: UUID, said: ApprovalDecision, *, via: Via = "api"
) -> Answered:
    """Answer an approval. By API it holds at once, else it can be taken back for five seconds.

    Raises:
        NotFound: no such approval here.
        Forbidden: somebody else is asked.
        Invalid: a value or an answer doesn't fit, or it agrees without saying to what.
        Conflict: its time is over, nothing waits for it any more, or something else was shown.
    """
    lease, found = _locked(ctx, approval_id)
    if found.row.state == "decided":
        return Answered("before", found)
    if found.row.state == "cancelled":
        raise Conflict("E-APPROVAL-GONE")
    _check_person(found)
    if found.has_spoken and found.row.state == "open":
        return Answered("before", found)
    _check_time(found.row)
    lease = _check_step(ctx, found, lease)
    _check_shown(found, said)
    values, answers = approvals_answers.read(found.asked, found.values, said)
    edited = found.edited | values
    if said.decision == "approve":
        if values:
            _forget_votes(ctx, found)  # they agreed to something else
        _agree(ctx, found, via)
        found.row.values = edited or None
        if not found.is_enough:
            _say(ctx, lease, found, "agreed")
            return Answered("counted", found)
    hold = timedelta(0) if via == "api" else HOLD
    _settle(ctx, found, said, answers, hold, via)
    _say(ctx, lease, found, said.decision)
    if not hold:
        tell_run(ctx, lease, found.row, found.asked)
    ctx.hints.points.append("web.after_approve_commit")
    return Answered("decided", found)


def _locked(ctx: Context, approval_id: UUID) -> tuple[Lease | None, Found]:
    """Lock the run's lease, then the approval: the order in which everybody takes them."""
    lease = lock_lease(ctx, ctx.get(Approval, approval_id).run_id)
    row = ctx.session.get(Approval, approval_id, populate_existing=True, with_for_update=True)
    if row is None:
        raise NotFound()
    return lease, _found(ctx, row, known_here(ctx))


def _check_person(found: Found) -> None:
    if found.people.may(found.voice):
        return
    if found.people.is_kept_out(found.voice.id):
        who = "Whoever started a run"
        raise Forbidden("E-APPROVAL-STARTER", who=who, asked=found.people.words)
    raise Forbidden("E-APPROVAL-OTHERS", asked=found.people.words)


def _check_time(row: Approval) -> None:
    if row.state == "expired" or (row.due_at is not None and row.due_at <= now()):
        raise Conflict("E-APPROVAL-LATE", text="It was not answered in time.")


def _check_shown(found: Found, said: ApprovalDecision) -> None:
    """Let nobody agree to what somebody else edited behind their back."""
    if said.decision == "approve" and not said.shown:
        text = "To approve, send back “shown” of the approval as you have read it."
        raise Invalid.at("/shown", "E-FIELD", what="The answer", text=text)
    if said.shown and said.shown != found.shown:
        raise Conflict("E-APPROVAL-CHANGED")


def _check_step(ctx: Context, found: Found, lease: Lease | None) -> Lease:
    """Return the lease of a run that still waits for this, with the bytes that were asked."""
    step = _step_of(ctx, found.row)
    waits = step is not None and step.state == "waiting"
    if lease is None or lease.cancel_at is not None or step is None or not waits:
        raise Conflict("E-APPROVAL-GONE")
    if sha256(step.request or b"").hexdigest() != found.row.request_sha:
        raise Conflict("E-APPROVAL-BLOCKED", text="What is asked is not what was asked first.")
    return lease


def _forget_votes(ctx: Context, found: Found) -> None:
    ctx.session.execute(
        update(ApprovalPerson)
        .where(ApprovalPerson.approval_id == found.row.id)
        .values(agreed_at=None, via=None)
    )
    found.agreed.clear()


def _agree(ctx: Context, found: Found, via: Via) -> None:
    key = (found.row.id, found.voice.id)
    person = ctx.session.get(ApprovalPerson, key, populate_existing=True)
    if person is None:
        person = ApprovalPerson(approval_id=key[0], person_id=key[1], name=found.voice.name)
        ctx.session.add(person)
    person.agreed_at, person.via = now(), via
    found.agreed[found.voice.id] = found.voice.name


def _settle(
    ctx: Context,
    found: Found,
    said: ApprovalDecision,
    answers: dict[str, Any],
    hold: timedelta,
    via: Via,
) -> None:
    """Close the row; raises `Conflict` when its time ran out in between."""
    row, at = found.row, now()
    closed = ctx.session.execute(
        update(Approval)
        .where(
            Approval.id == row.id,
            Approval.state == "open",
            (Approval.due_at.is_(None)) | (Approval.due_at > at),
        )
        .values(
            state="decided",
            decision=said.decision,
            decided_by=found.voice.id,
            decided_by_name=found.voice.name[:120],
            via=via,
            decided_at=at,
            effective_at=at + hold,
            look_at=at + hold,
            note=said.note.strip() or None,
            answers=answers or None,
        )
    )
    if closed.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result counts
        raise Conflict("E-APPROVAL-LATE", text="It was not answered in time.")
    ctx.session.refresh(row)
    public = public_id("run", row.run_id)
    after = {"decision": said.decision, "path": row.path, "via": via, "shown": found.shown}
    record(ctx, "approval.decided", public, after=after)


def _say(ctx: Context, lease: Lease, found: Found, what: str) -> None:
    data = {"path": found.row.path, "approval": found.id, "by": found.voice.name, "decision": what}
    add_event(ctx, lease, "approval.answered", data)


@requires(Permission.DECIDE_APPROVALS)
def take_back(ctx: Context, approval_id: UUID) -> bool:
    """Open an approval again that was answered by the same person less than five seconds ago.

    Returns:
        Whether it was in time.
    """
    lease, found = _locked(ctx, approval_id)
    if lease is None or not found.can_take_back:
        return False
    opened = ctx.session.execute(
        update(Approval)
        .where(Approval.id == approval_id, Approval.effective_at > now())
        .values(
            state="open", decision=None, decided_by=None, decided_by_name=None, via=None,
            decided_at=None, effective_at=None, look_at=now(), note=None, answers=None,
        )
    )  # fmt: skip
    if opened.rowcount != 1:  # type: ignore[attr-defined]
        return False
    ctx.session.execute(
        delete(ApprovalPerson).where(
            ApprovalPerson.approval_id == approval_id,
            ApprovalPerson.person_id == found.voice.id,
            ApprovalPerson.token_hash.is_(None),
        )
    )
    ctx.session.execute(
        update(ApprovalPerson)
        .where(
            ApprovalPerson.approval_id == approval_id, ApprovalPerson.person_id == found.voice.id
        )
        .values(agreed_at=None, via=None)
    )
    ctx.session.refresh(found.row)
    _say(ctx, lease, found, "taken_back")
    record(
        ctx, "approval.taken_back", public_id("run", found.run.id), after={"path": found.row.path}
    )
    return True


def tell_run(ctx: Context, lease: Lease, row: Approval, asked: dict[str, Any]) -> None:
    """Give the run its answer: once, in the transaction that ends the time to take it back."""
    row.look_at = None
    answer = {
        "decision": row.decision,
        "seal": seal_of(asked),
        "by": row.decided_by_name,
        "at": (row.decided_at or now()).isoformat(timespec="seconds"),
        "note": row.note,
        "values": (row.values or {}) if row.decision == "approve" else {},
        "answers": row.answers or {},
    }
    deliver(ctx, lease, "approval", row.path, answer)
