"""People and their sessions.

These functions take a session and no `Context`: who somebody is comes before any organization.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from webapp.access.context import Context, system_only
from webapp.accounts.models import LoginSession, SetupLink, User
from webapp.accounts.passwords import hash_password, matches, why_too_easy
from webapp.accounts.schemas import NewPassword, SetUp
from webapp.kernel.clock import now
from webapp.kernel.errors import Gone, Invalid, NotFound, field_error
from webapp.kernel.rawsql import sql_for
from webapp.kernel.tokens import new_token, token_hash

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=14)
LINK_LIFE = timedelta(hours=24)


def is_set_up(session: Session) -> bool:
    """Whether anybody has an account here."""
    return session.scalar(select(User.id).limit(1)) is not None


def make_setup_link(session: Session, base_url: str, next: str = "") -> str:
    """Return a new one-time link; the ones made before stop working.

    Args:
        next: local path to open after set-up, such as a run's page.

    Raises:
        Gone: somebody has an account already.
    """
    if is_set_up(session):
        raise Gone("E-LINK-OLD")
    session.execute(delete(SetupLink))
    code = secrets.token_urlsafe(20)
    session.add(SetupLink(code_hash=token_hash(code), expires_at=now() + LINK_LIFE))
    session.flush()
    query = {"code": code} | ({"next": next} if next else {})
    return f"{base_url}/setup?{urlencode(query, quote_via=quote, safe='/')}"


def code_is_good(session: Session, code: str) -> bool:
    """Whether the code of a set-up link can still be used."""
    found = session.get(SetupLink, token_hash(code))
    return found is not None and found.used_at is None and found.expires_at > now()


def set_up(session: Session, code: str, draft: SetUp, password_hash: str) -> User:
    """Make the first person. The code works once, whoever is faster.

    Args:
        password_hash: made before, since hashing must not hold the writer's lock.

    Raises:
        Gone: the code was used, is too old, or is none; or somebody has an account already.
    """
    used = session.execute(
        update(SetupLink)
        .where(
            SetupLink.code_hash == token_hash(code),
            SetupLink.used_at.is_(None),
            SetupLink.expires_at > now(),
        )
        .values(used_at=now()),
        execution_options={"synchronize_session": False},
    )
    if not _rows(used) or is_set_up(session):
        raise Gone("E-LINK-OLD")
    return add_user(session, draft.name, draft.email, password_hash, staff=True)


def add_user(
    session: Session, name: str, email: str, password_hash: str, *, staff: bool = False
) -> User:
    """Add a person without any organization.

    Raises:
        Invalid: the address is taken.
    """
    folded = fold(email)
    if session.scalar(select(User.id).where(User.email_folded == folded)) is not None:
        raise Invalid.at("/email", "E-FIELD-TAKEN", what="Email", thing="person", name=email)
    user = User(
        name=name, email=email, email_folded=folded, password_hash=password_hash, staff=staff
    )  # fmt: skip
    session.add(user)
    session.flush()
    return user


def hash_for(draft: SetUp) -> str:
    return checked_hash("password", draft.password, draft.name, draft.email)


def checked_hash(field: str, password: str, *about: str) -> str:
    """Return the hash to keep of a new password, or say why it is too easy."""
    reason = why_too_easy(password, *about)
    if reason is not None:
        raise Invalid([field_error(f"/{field}", "E-FIELD", what="Password", text=reason)])
    return hash_password(password)


def fold(email: str) -> str:
    """Return an address as it is compared."""
    return email.strip().casefold()


@dataclass(frozen=True, slots=True)
class Login:
    """A person who may sign in with the right password."""

    user_id: UUID
    name: str
    password_hash: str


def find_login(session: Session, email: str) -> Login | None:
    """Return the person with this address."""
    found = session.execute(
        select(User.id, User.name, User.password_hash).where(User.email_folded == fold(email))
    ).first()
    return Login(*found) if found is not None else None


def password_matches(password: str, login: Login | None) -> bool:
    """Whether the password is right; takes as long when there is no such person."""
    return matches(password, login.password_hash if login is not None else None)


def is_still(session: Session, login: Login) -> bool:
    """Whether the password that was checked is the person's still; it stays so until the commit.

    Checking takes 20 ms outside of the transaction. A session that began on the old password
    after a change would have outlived it.
    """
    kept = select(User.password_hash).where(User.id == login.user_id).with_for_update()
    return session.scalar(kept) == login.password_hash


def begin_session(session: Session, user_id: UUID, address: str, agent: str) -> tuple[str, str]:
    """Return the cookie and the form secret of a new session: its id never existed before."""
    token, csrf_secret = new_token(), secrets.token_urlsafe(24)
    session.add(
        LoginSession(
            id_hash=token_hash(token),
            user_id=user_id,
            csrf_secret=csrf_secret,
            expires_at=now() + ABSOLUTE,
            address=address[:64],
            agent=agent[:200],
        )
    )
    session.flush()
    return token, csrf_secret


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that has not ended, with its person."""

    csrf_secret: str
    data: dict[str, object]
    seen_at: datetime
    user_id: UUID
    name: str
    email: str
    staff: bool
    theme: str
    zone: str


# Every page asks this, so it goes to the driver as text.
_FIND_SESSION = """
SELECT s.csrf_secret, s.data, s.seen_at, u.id, u.name, u.email, u.staff, u.theme, u.zone
  FROM session s JOIN "user" u ON u.id = s.user_id
 WHERE s.id_hash = :id_hash AND s.expires_at > :now AND s.seen_at > :idle_since"""


def find_session(session: Session, id_hash: bytes) -> OpenSession | None:
    connection = session.connection()
    sql, at = sql_for(connection.dialect.name), now()
    values = {"id_hash": id_hash, "now": sql.moment(at), "idle_since": sql.moment(at - IDLE)}
    found = connection.exec_driver_sql(sql(_FIND_SESSION), values).one_or_none()
    if found is None:
        return None
    secret, data, seen_at, user_id, name, email, staff, theme, zone = found
    return OpenSession(
        secret,
        sql.read_json(data) or {},
        sql.read_moment(seen_at) or at,
        sql.read_id(user_id),
        name,
        email,
        bool(staff),
        theme,
        zone,
    )


def open_sessions(session: Session, id_hashes: Collection[bytes]) -> dict[bytes, UUID]:
    """Return those of the sessions that have not ended, each with its person."""
    found = session.execute(
        select(LoginSession.id_hash, LoginSession.user_id).where(
            LoginSession.id_hash.in_(id_hashes),
            LoginSession.expires_at > now(),
            LoginSession.seen_at > now() - IDLE,
        )
    )
    return {row[0]: row[1] for row in found}


@dataclass(frozen=True, slots=True)
class Person:
    """Who somebody is, for mails and lists of people."""

    id: UUID
    name: str
    email: str
    zone: str


def people(session: Session, user_ids: Collection[UUID]) -> dict[UUID, Person]:
    """Return those of these people who are known, by id."""
    rows = session.execute(
        select(User.id, User.name, User.email, User.zone).where(User.id.in_(user_ids))
    )
    return {row[0]: Person(*row) for row in rows}


def sessions_of(session: Session, user_id: UUID) -> Sequence[LoginSession]:
    """Return the person's open sessions, the last used first."""
    return session.scalars(
        select(LoginSession)
        .where(
            LoginSession.user_id == user_id,
            LoginSession.expires_at > now(),
            LoginSession.seen_at > now() - IDLE,
        )
        .order_by(LoginSession.seen_at.desc(), LoginSession.id)
    ).all()


def sign_out(session: Session, id_hash: bytes) -> None:
    session.execute(delete(LoginSession).where(LoginSession.id_hash == id_hash))


def end_session(session: Session, user_id: UUID, session_id: UUID) -> None:
    """End one session of this person; somebody else's is not found."""
    ended = session.execute(
        delete(LoginSession).where(LoginSession.id == session_id, LoginSession.user_id == user_id)
    )
    if not _rows(ended):
        raise NotFound()


def end_other_sessions(session: Session, user_id: UUID, but: bytes) -> int:
    """End all sessions of this person but one; return how many."""
    ended = session.execute(
        delete(LoginSession).where(LoginSession.user_id == user_id, LoginSession.id_hash != but)
    )
    return _rows(ended)


def keep_data(session: Session, id_hash: bytes, data: Mapping[str, object]) -> None:
    session.execute(
        update(LoginSession).where(LoginSession.id_hash == id_hash).values(data=dict(data))
    )


def password_of(session: Session, user_id: UUID) -> str:
    """Return the kept hash."""
    return session.scalars(select(User.password_hash).where(User.id == user_id)).one()


def change_password(
    session: Session, user_id: UUID, before: str, password_hash: str, keep: bytes
) -> int:
    """Set a new password and end the person's other sessions; return how many ended.

    Args:
        before: the hash that the old password was checked against.
        keep: the session that goes on.

    Raises:
        Invalid: somebody changed the password meanwhile.
    """
    changed = session.execute(
        update(User)
        .where(User.id == user_id, User.password_hash == before)
        .values(password_hash=password_hash)
    )
    if not _rows(changed):
        raise wrong_password()
    return end_other_sessions(session, user_id, keep)


def new_hash(draft: NewPassword, before: str, *about: str) -> str:
    """Return the hash to keep, after checking the present password and the new one."""
    if not matches(draft.password, before):
        raise wrong_password()
    return checked_hash("new_password", draft.new_password, *about)


def wrong_password() -> Invalid:
    text = "This is not your present password."
    return Invalid([field_error("/password", "E-FIELD", what="Password", text=text)])


def set_theme(session: Session, user_id: UUID, theme: str) -> None:
    session.execute(update(User).where(User.id == user_id).values(theme=theme))


def note_seen(session: Session, seen: Mapping[bytes, datetime]) -> None:
    """Write when sessions were last used: collected in Redis, since a GET writes nothing."""
    for id_hash, at in seen.items():
        session.execute(
            update(LoginSession)
            .where(LoginSession.id_hash == id_hash, LoginSession.seen_at < at)
            .values(seen_at=at)
        )


@system_only
def forget_sessions(ctx: Context) -> int:
    """Delete sessions and links that can no longer be used; return how many rows."""
    session = ctx.session
    ended = session.execute(
        delete(LoginSession).where(
            (LoginSession.expires_at <= now()) | (LoginSession.seen_at <= now() - IDLE)
        )
    )
    links = session.execute(delete(SetupLink).where(SetupLink.expires_at <= now() - LINK_LIFE))
    return _rows(ended) + _rows(links)


def _rows(result: object) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
