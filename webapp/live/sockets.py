"""The Socket.IO machinery with its limits: one transport, small messages, a quick way back.

What the library leaves open is closed here: a message is refused before it is collected whole,
a browser of another site is refused at the handshake, and the thread that hears other processes
tries again every second, not every minute.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import simple_websocket
import socketio
from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI
from flask import Flask
from flask_socketio import SocketIO

from webapp.kernel.settings import Settings
from webapp.live.bell import MISSED, NAMESPACE, envelope

MOST_BYTES: Final = 64 * 1024
PING_EVERY_S: Final = 25
PING_TIMEOUT_S: Final = 20
KEPT_FREE: Final = 32
"""Threads of the web process that sockets never take: pages must open."""
_LAST_FREE: Final = KEPT_FREE // 2
_RETRY_S: Final = 1.0

# The library logs each lost connection as an error; a hint that is lost costs latency only.
quiet = logging.getLogger("deckhand.sockets")
quiet.setLevel(logging.CRITICAL)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def make_server(app: Flask, settings: Settings) -> SocketIO:
    """Return the server, put before the app; it opens Redis when the first socket comes."""
    socket_server = SocketIO(
        app,
        async_mode="threading",
        async_handlers=False,  # in the socket's own thread, in order
        client_manager=_Manager(settings.redis_url) if settings.redis_url else None,
        cors_allowed_origins=lambda origin, environ: _is_ours(origin, environ, settings),
        cors_credentials=False,
        logger=quiet,
        engineio_logger=quiet,
        manage_session=False,
        max_http_buffer_size=MOST_BYTES,
        path="/socket.io",
        ping_interval=PING_EVERY_S,
        ping_timeout=PING_TIMEOUT_S,
        transports=["websocket"],
    )
    engine = socket_server.server.eio
    engine._async = {**engine._async, "websocket": _SmallMessages}
    app.wsgi_app = _Gate(app.wsgi_app, settings.web_threads - _LAST_FREE)  # type: ignore[method-assign]
    return socket_server


def _is_ours(origin: str | None, environ: dict[str, Any], settings: Settings) -> bool:
    """Whether the page that opens the socket is one of ours; programs send no Origin."""
    if not origin:
        return True
    here = {environ.get("HTTP_HOST", ""), urlsplit(settings.base_url).netloc}
    return urlsplit(origin).netloc in here - {""}


class _SmallMessages(SimpleWebSocketWSGI):
    """Ends a connection at the first message over the limit, before it is in memory."""

    def __init__(self, handler: Any, server: Any, **options: Any) -> None:
        super().__init__(handler, server, max_message_size=MOST_BYTES, **options)

    def wait(self) -> Any:
        try:
            return self.ws.receive()
        except simple_websocket.ConnectionClosed:
            return None


class _Manager(socketio.RedisManager):
    """Hears what other processes tell; comes back within a second when Redis does.

    Then it tells its own pages that they have missed something: who spoke meanwhile may have
    found Redis there, and nobody listening.
    """

    def __init__(self, url: str) -> None:
        options = {"socket_connect_timeout": 0.5, "socket_keepalive": True}
        if url.startswith("unix:"):
            options = {}  # a unix socket knows neither
        super().__init__(url, logger=quiet, redis_options=options)

    def _listen(self) -> Iterator[Any]:
        for message in super()._listen():
            told = json.loads(message)
            yield from told if isinstance(told, list) else [told]

    def _redis_listen_with_retries(self) -> Iterator[Any]:
        missed = False
        while True:
            try:
                self._redis_connect()
                self.pubsub.subscribe(self.channel)
                if missed:
                    event = envelope("", 0, MISSED, {})
                    self.server.emit(MISSED, event, namespace=NAMESPACE, ignore_queue=True)
                missed = True
                yield from self.pubsub.listen()
            except Exception as error:  # noqa: BLE001  (whatever it is, listening must go on)
                missed = True
                quiet.info("cannot hear other processes: %s", error)
            time.sleep(_RETRY_S)  # a back-off of this thread, which does nothing else


class _Gate:
    """Refuses a handshake when nearly all threads carry sockets, before any library code.

    Above it `server.Live` refuses politely, with a reason; this stops who opens sockets and
    never says who they are.
    """

    def __init__(self, inner: Wsgi, most: int) -> None:
        self._inner = inner
        self._free = threading.BoundedSemaphore(most)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith("/socket.io"):
            return self._inner(environ, start_response)
        if not self._free.acquire(blocking=False):
            start_response(
                "503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "5")]
            )
            return [b"Too many open pages. This page goes on without live updates."]
        try:
            return self._inner(environ, start_response)  # returns when the socket closes
        finally:
            self._free.release()
