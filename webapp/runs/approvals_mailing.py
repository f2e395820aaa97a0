"""Mails about approvals: the whole of what is asked, and a link that opens without a session.

The link's token is made of the approval's own nonce and the machine's key, so that it stands
nowhere but in the mail; the row keeps its hash. A mail is an outbox row and thus sent at least
once; that it is the same mail is said by its Message-ID.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from webapp.access.context import Actor, Context, requires
from webapp.access.permissions import Permission
from webapp.access.tenancy import across_organizations
from webapp.accounts.service import people
from webapp.kernel import jsons
from webapp.kernel.errors import Gone
from webapp.kernel.hints import Hints
from webapp.kernel.ids import public_id
from webapp.kernel.mails import link_token
from webapp.kernel.outbox import post
from webapp.kernel.settings import Settings
from webapp.kernel.tokens import token_hash
from webapp.kernel.visible import made_visible
from webapp.organizations.service import Member, roles_of
from webapp.runs.approvals import Found
from webapp.runs.approvals_words import step_name, workflow_name
from webapp.runs.models import Approval, ApprovalPerson
from webapp.web.formats import when
from webapp.web.shapes import cell

Why = Literal["asked", "deputy", "reminded"]
MOST_TEXT: Final = 200_000


@requires(Permission.DECIDE_APPROVALS)
def mail_to(ctx: Context, found: Found, members: Iterable[Member], why: Why) -> None:
    """Write a mail for each of these people into the outbox; nothing without a mail server."""
    if not ctx.settings.smtp_url:
        return
    facts = _facts(ctx, found, why)
    subject = f"{'Reminder: approve' if why == 'reminded' else 'Approve'}: {facts['title']}"
    for member in members:
        seed = f"{found.id}|{member.person.id}|{found.row.nonce.hex()}"
        _remember(ctx, found.row, member, link_token(ctx.settings, seed))
        payload = {
            "template": "approval",
            "to": member.person.email,
            "subject": subject,
            "facts": facts | {"name": member.person.name},
            "link": f"/approve/{found.id}/{public_id('usr', member.id)}.",
            "seed": seed,
        }
        sent = f"{found.id}:{member.id}:{why}:{int(found.row.passed_at is not None)}"
        post(ctx.session, "mail", f"approval:{sent}", payload, ctx.organization_id)


def _remember(ctx: Context, row: Approval, member: Member, token: str) -> None:
    """Keep the hash of a person's link."""
    key = (row.id, member.id)
    person = ctx.session.get(ApprovalPerson, key)
    if person is None:
        person = ApprovalPerson(approval_id=key[0], person_id=key[1], name=member.person.name)
        ctx.session.add(person)
    person.token_hash = token_hash(token)
    ctx.session.flush()


def _facts(ctx: Context, found: Found, why: Why) -> dict[str, Any]:
    title = step_name(ctx, found)
    shown = [
        {"label": made_visible(one["label"]), "text": _text(found.values[one["name"]])}
        for one in found.asked["show"]
    ]
    return {
        "title": made_visible(title)[:120],
        "workflow": made_visible(workflow_name(ctx, found)),
        "asked": found.people.words,
        "why": _round(found) + _said(found, why),
        "shown": shown,
        "has_questions": bool(found.asked["questions"]),
        "due": f"{when(found.row.due_at)} (UTC)" if found.row.due_at is not None else "",
    }


def _said(found: Found, why: Why) -> str:
    match why:
        case "deputy":
            return "You are the deputy. "
        case "reminded":
            who = "Not everybody" if found.agreed else "Nobody"
            return f"{who} has answered yet. "
    return ""


def _round(found: Found) -> str:
    """Return which round it is, from the second on."""
    number = found.asked.get("round", 1)
    return f"Round {number} of {found.asked['rounds']}. " if number > 1 else ""


def _text(value: Any) -> str:
    """Return a value as text, whole; what cannot be seen is written out."""
    text = value if isinstance(value, str) else cell(value)
    if isinstance(value, list | dict):
        text = jsons.pretty(value)
    if len(text) > MOST_TEXT:
        text = f"{text[:MOST_TEXT]}\n… The page shows all of it."
    return made_visible(text)


def by_link(
    session: Session,
    settings: Settings,
    approval_id: UUID,
    person_id: UUID,
    token: str,
    hints: Hints,
) -> Context:
    """Return the context of the person to whom a mail's link belongs, with their present role.

    Args:
        hints: of the owner of the transaction.

    Raises:
        Gone: there is no such link, or the person is no longer a member.
    """
    with across_organizations(session, "an approval by the link of its mail"):
        person = session.get(ApprovalPerson, (approval_id, person_id))
        organization_id = person.organization_id if person is not None else None
    kept = (person.token_hash if person is not None else None) or b""
    if person is None or organization_id is None or not _is_token(kept, token):
        raise Gone("E-APPROVAL-LINK")
    role = roles_of(session, [person_id])[person_id].get(organization_id)
    known = people(session, [person_id]).get(person_id)
    if role is None or known is None:
        raise Gone("E-APPROVAL-LINK")
    actor = Actor("person", person_id, known.name, role)
    return Context(session, organization_id, actor, settings, hints=hints)


def _is_token(kept: bytes, token: str) -> bool:
    return bool(kept) and hmac.compare_digest(kept, token_hash(token))
