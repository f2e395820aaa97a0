"""The Socket.IO server: a doorbell for pages.

A socket joins rooms and hears that something changed; pages then ask over HTTP, where
permissions and limits already live. No message of a socket changes anything. Who may join is
asked at each join, and once a second of everybody who is in.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final
from uuid import UUID

from flask import Flask, current_app, request
from flask_socketio import ConnectionRefusedError, SocketIO
from sqlalchemy.orm import Session

from webapp.access.context import Actor, Context
from webapp.access.permissions import Permission, allows
from webapp.kernel.db import is_away
from webapp.kernel.errors import AppError, NotFound
from webapp.kernel.settings import Settings
from webapp.live.bell import NAMESPACE, envelope
from webapp.live.endings import Endings
from webapp.live.rooms import ROOMS, Room, find_room
from webapp.live.sockets import KEPT_FREE, make_server
from webapp.web.database import brief_reading
from webapp.web.identities import Place, Visitor, identities, visitor

log = logging.getLogger(__name__)

MOST_ROOMS: Final = 20
MESSAGES_A_MINUTE: Final = 30
MOST_REPLAYED: Final = 500
_LOOK_EVERY_S: Final = 1.0
_NAMELESS_S: Final = 10.0
_REFUSED_S: Final = 1.0

Answer = dict[str, Any]


@dataclass(slots=True)
class Guest:
    """One socket that is in.

    Attributes:
        rooms: what each joined room needs: the organization, and the permission in it.
        spoke: when its messages of the last minute came.
    """

    sid: str
    transport: str
    person: Visitor
    rooms: dict[str, tuple[UUID, Permission]] = field(default_factory=dict)
    spoke: deque[float] = field(default_factory=deque)


class Live:
    """The guests of this process and what they may hear."""

    def __init__(self, app: Flask, server: SocketIO, most: int) -> None:
        self._app = app
        self._server = server
        self._most = most
        self._guests: dict[str, Guest] = {}
        self._nameless: dict[str, float] = {}
        self._lock = threading.Lock()
        self._keeper: threading.Thread | None = None

    def connect(self, _auth: Any = None) -> None:
        """Let a signed-in person in; a refusal says why."""
        self._watch()
        sid = request.sid  # type: ignore[attr-defined]  # Flask-SocketIO adds it
        transport = self._server.server.manager.eio_sid_from_sid(sid, NAMESPACE)
        try:
            person = visitor()
        except Exception as error:
            if is_away(error):
                self._refuse(transport, "maintenance")
            raise
        if person is None:
            self._refuse(transport, "signed_out")
            return
        with self._lock:
            full = len(self._guests) >= self._most
            if not full:
                self._guests[sid] = Guest(sid, transport, person)
        if full:
            self._refuse(transport, "too_many")
        self._server.server.enter_room(sid, f"user:{person.public_id}", NAMESPACE)

    def _refuse(self, transport: str, reason: str) -> None:
        # The reason must go out first; then the connection is of no use and holds a thread.
        timer = threading.Timer(_REFUSED_S, self._server.server.eio.disconnect, [transport])
        timer.daemon = True
        timer.start()
        raise ConnectionRefusedError(reason)

    def disconnect(self, *_: Any) -> None:
        with self._lock:
            self._guests.pop(request.sid, None)  # type: ignore[attr-defined]

    def join(self, guest: Guest, asked: dict[str, Any]) -> Answer:
        """Answer {ok, seq, behind}: how many events the page has missed behind `after`."""
        name = asked.get("room")
        if name == f"user:{guest.person.public_id}":
            return {"ok": True, "seq": 0, "behind": 0}
        if len(guest.rooms) >= MOST_ROOMS and name not in guest.rooms:
            return _no("too_many_rooms")
        found = find_room(name)
        if found is None:
            return _no("not_allowed")
        kind, about = found
        with brief_reading() as session:
            ctx, _ = _entered(session, guest.person, kind, about)
            guest.rooms[str(name)] = (ctx.organization_id, kind.permission)
            self._server.server.enter_room(guest.sid, str(name), NAMESPACE)
            session.rollback()  # what was committed until now counts, not what was before
            seq = kind.seq(ctx, about)
        return {"ok": True, "seq": seq, "behind": max(0, seq - _whole(asked.get("after")))}

    def leave(self, guest: Guest, asked: dict[str, Any]) -> Answer:
        name = asked.get("room")
        if isinstance(name, str) and guest.rooms.pop(name, None) is not None:
            self._server.server.leave_room(guest.sid, name, NAMESPACE)
        return {"ok": True}

    def replay(self, guest: Guest, asked: dict[str, Any]) -> Answer:
        """Answer the room's events behind `after`, at most `max` of them, from the database."""
        found = find_room(asked.get("room"))
        if found is None or found[0].replay is None:
            return _no("not_allowed")
        kind, about = found
        most = min(max(_whole(asked.get("max", MOST_REPLAYED)), 1), MOST_REPLAYED)
        with brief_reading() as session:
            ctx, seq = _entered(session, guest.person, kind, about)
            assert kind.replay is not None
            told = kind.replay(ctx, about, _whole(asked.get("after")), most)
            events = [
                envelope(str(asked["room"]), one.seq, one.type, one.data, one.at) for one in told
            ]
        return {"ok": True, "seq": seq, "events": events}

    def heard(self, handler: Callable[[Guest, dict[str, Any]], Answer]) -> Callable[..., Answer]:
        """Make a handler of messages: who speaks, how often, and what went wrong."""

        @wraps(handler)
        def hear(asked: Any = None, *_: Any) -> Answer:
            guest = self._guests.get(request.sid)  # type: ignore[attr-defined]
            if guest is None or visitor() is None:
                return _no("signed_out")
            if not _may_speak(guest):
                return _no("too_fast")
            if not isinstance(asked, dict):
                return _no("not_allowed")
            try:
                return handler(guest, asked)
            except AppError:
                return _no("not_allowed")  # unknown and foreign look the same

        return hear

    def failed(self, error: Exception) -> Answer:
        """Answer when something of ours broke; the page polls on."""
        if not is_away(error):
            log.error("a socket's message failed", exc_info=error)
        return _no("busy")

    def _watch(self) -> None:
        with self._lock:
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="sockets", daemon=True)
                self._keeper.start()

    def _keep(self) -> None:
        while True:
            time.sleep(_LOOK_EVERY_S)  # the rate of looking, not a wait for anything
            try:
                with self._app.app_context():
                    self._look()
            except Exception as error:  # a database that is away comes back
                level = logging.DEBUG if is_away(error) else logging.ERROR
                log.log(level, "sockets were not looked after", exc_info=error)

    def _look(self) -> None:
        """End what has no right any more: sessions that ended, roles that changed."""
        with self._lock:
            guests = list(self._guests.values())
        self._close_nameless({guest.transport for guest in guests})
        if not guests:
            return
        standing = identities().standing({guest.person.session_hash for guest in guests})
        for guest in guests:
            roles = standing.get(guest.person.session_hash)
            if roles is None:
                self._tell_end(guest, "signed_out")
                self._server.server.disconnect(guest.sid, NAMESPACE, ignore_queue=True)
                continue
            for name, (organization, permission) in list(guest.rooms.items()):
                if not allows(roles.get(organization), permission):
                    guest.rooms.pop(name, None)
                    self._server.server.leave_room(guest.sid, name, NAMESPACE)
                    self._tell_end(guest, "role")

    def _tell_end(self, guest: Guest, reason: str) -> None:
        room = f"user:{guest.person.public_id}"
        message = envelope(room, 0, "session.end", {"reason": reason})
        self._server.server.emit(
            "session.end", message, to=guest.sid, namespace=NAMESPACE, ignore_queue=True
        )

    def _close_nameless(self, known: set[str]) -> None:
        """Close connections that hold a thread and never came into the namespace."""
        at = time.monotonic()
        waiting = set(self._server.server.eio.sockets) - known
        self._nameless = {sid: self._nameless.get(sid, at) for sid in waiting}
        for sid, since in self._nameless.items():
            if at - since > _NAMELESS_S:
                self._server.server.eio.disconnect(sid)


def init_app(app: Flask, settings: Settings) -> None:
    """Put the socket server before the app; Redis is opened when the first socket comes."""
    server = make_server(app, settings)
    live = Live(app, server, max(1, settings.web_threads - KEPT_FREE))
    server.on_event("connect", live.connect, namespace=NAMESPACE)
    server.on_event("disconnect", live.disconnect, namespace=NAMESPACE)
    for name in ("join", "leave", "replay"):
        server.on_event(name, live.heard(getattr(live, name)), namespace=NAMESPACE)
    server.on_error_default(live.failed)
    app.extensions["live"] = live
    app.extensions["endings"] = Endings(settings.redis_url, settings.web_threads // 4)
    _declare(app)


def _declare(app: Flask) -> None:
    """Write the socket's events into the list of all doors."""
    needs = sorted({kind.permission.value for kind in ROOMS.values()})
    signed_in: dict[str, Any] = {"auth": "session", "permission": None, "public": False}
    by_room = signed_in | {"permission": ", ".join(needs)}
    app.extensions["events"].update(
        {"connect": signed_in, "leave": signed_in, "join": by_room, "replay": by_room}
        | {
            f"join {kind.kind}:<id>": signed_in | {"permission": kind.permission.value}
            for kind in ROOMS.values()
        }
    )


def _entered(session: Session, person: Visitor, kind: Room, about: str) -> tuple[Context, int]:
    """Return the context of the organization that has the thing, and its newest number.

    Raises:
        NotFound: none of the person's organizations has it, or their role there is too small.
    """
    refused: AppError | None = None
    for here in identities().places(person.user_id):
        if not allows(here.role, kind.permission):
            continue
        ctx = Context(session, here.organization_id, _actor(person, here), _settings())
        try:
            return ctx, kind.seq(ctx, about)
        except AppError as error:
            refused = error
    raise refused or NotFound()


def _actor(person: Visitor, here: Place) -> Actor:
    return Actor("person", person.user_id, person.name, here.role, person.staff)


def _settings() -> Settings:
    found: Settings = current_app.extensions["settings"]
    return found


def _may_speak(guest: Guest) -> bool:
    at = time.monotonic()
    while guest.spoke and guest.spoke[0] <= at - 60:
        guest.spoke.popleft()
    if len(guest.spoke) >= MESSAGES_A_MINUTE:
        return False
    guest.spoke.append(at)
    return True


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _no(code: str) -> Answer:
    return {"ok": False, "code": code}
