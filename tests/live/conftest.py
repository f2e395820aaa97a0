"""A web server with threads, as gunicorn has them, and real Socket.IO clients."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import socketio
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from tests.fixtures import House
from tests.runs.conftest import finish, make_live, runner, start  # noqa: F401  fixtures
from webapp.access.permissions import Role
from webapp.accounts import service as accounts
from webapp.kernel.db import writing
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.web.database import db

LIVE = "/live"
DEADLINE_S = 10.0


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        return None


@pytest.fixture
def bell(settings: Settings) -> RedisBell:
    """The real bell, sending at once."""
    return RedisBell(settings.redis_url)


@pytest.fixture
def server(app: Flask) -> Iterator[BaseWSGIServer]:
    made = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    made.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def url(server: BaseWSGIServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


class Page:
    """One open page: a socket, and everything it has heard."""

    def __init__(self, url: str, cookie: str = "", **options: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self.client = socketio.Client(reconnection=False, websocket_extra_options=options)
        self.client.on("*", self._hear, namespace=LIVE)
        self.client.on("connect_error", self._refused, namespace=LIVE)
        self.refused = ""
        self.url = url
        self.headers = {"Cookie": f"sid={cookie}"} if cookie else {}

    def open(self) -> Page:
        self.client.connect(
            self.url, self.headers, transports=["websocket"], namespaces=[LIVE], wait_timeout=5
        )
        return self

    def _refused(self, why: dict[str, str] | str) -> None:
        self.refused = why if isinstance(why, str) else why["message"]

    def _hear(self, name: str, message: dict[str, Any]) -> None:
        assert name == message["type"]
        self.heard.append(message)

    def close(self) -> None:
        ws = self.client.eio.ws
        if ws is not None:
            ws.close = lambda: self._hang_up(ws)
        self.client.disconnect()
        if ws is not None:
            self._hang_up(ws)
            ws.shutdown()

    def _hang_up(self, ws: Any) -> None:
        """Wake the client's reader, which sleeps in the socket, instead of waiting for it."""
        with contextlib.suppress(OSError):
            if ws.sock is not None:
                ws.sock.shutdown(socket.SHUT_RDWR)

    def ask(self, name: str, **asked: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.client.call(name, asked, namespace=LIVE, timeout=5)
        return found

    def types(self) -> list[str]:
        return [message["type"] for message in self.heard]

    def hears(self, type: str) -> None:
        eventually(lambda: type in self.types())


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.01)


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(app: Flask, url: str) -> Iterator[OpenPage]:
    """Return a function that opens a page of a person, signed in anew."""
    pages: list[Page] = []

    def open_for(
        house: House | None = None,
        role: Role = Role.OWNER,
        opens: bool = True,
        **options: str,
    ) -> Page:
        cookie = sign_in(app, house, role) if house is not None else ""
        page = Page(url, cookie, **options)
        pages.append(page)
        if opens:
            return page.open()
        with pytest.raises(socketio.exceptions.ConnectionError):
            page.open()
        return page

    yield open_for
    for page in pages:
        page.close()


def sign_in(app: Flask, house: House, role: Role) -> str:
    with app.app_context(), writing(), Session(db.engine) as session:
        token, _ = accounts.begin_session(session, house.people[role], "127.0.0.1", "Test")
        session.commit()
    return token
