"""Kept connections, and what it means when one breaks."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import anyio
import httpcore2

from webapp.kernel.addresses import AllowList
from webapp.kernel.outbound import Gate, GuardedBackend, Resolver
from webapp.kernel.outbound_errors import OutboundUnreachable
from webapp.kernel.outbound_urls import Target

look_before_sending: ContextVar[Callable[[], None]] = ContextVar("look", default=lambda: None)
"""Called when a connection is there and the first byte is about to leave; raises when it must not
any more.
"""


class Pools:
    """Connections, kept open for a while and each used for one origin only.

    Requests with credentials over plain http have their own pool, which connects to nothing
    but the addresses that the operator opened.
    """

    def __init__(
        self,
        allow: AllowList,
        resolve: Resolver | None,
        ssl_context: ssl.SSLContext | None,
        *,
        keep_s: float,
    ) -> None:
        self._allow = allow
        self._resolve = resolve
        self._ssl_context = ssl_context
        self._keep_s = keep_s
        self._open: dict[tuple[str, bool], httpcore2.AsyncConnectionPool] = {}

    async def send(
        self,
        target: Target,
        method: str,
        headers: Sequence[tuple[bytes, bytes]],
        content: bytes | AsyncIterable[bytes],
        *,
        with_credential: bool,
        extensions: Mapping[str, Any],
    ) -> httpcore2.Response:
        """Return the answer with its body still to be read; the caller closes it.

        Args:
            headers: complete but for `Host`.
            extensions: `trace` and `timeout`, as httpcore knows them.
        """
        only_allowed = with_credential and target.scheme == "http"
        url = httpcore2.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        return await self._pool(target.scheme, only_allowed).handle_async_request(
            httpcore2.Request(
                method,
                url,
                headers=[(b"Host", target.authority.encode()), *headers],
                content=content,
                extensions=dict(extensions),
            )
        )

    def _pool(self, scheme: str, only_allowed: bool) -> httpcore2.AsyncConnectionPool:
        pool = self._open.get((scheme, only_allowed))
        if pool is None:
            if scheme == "https" and self._ssl_context is None:
                self._ssl_context = httpcore2.default_ssl_context()  # 20 ms, so only once
            gate = Gate(self._allow, self._resolve, only_allowed=only_allowed)
            pool = self._open[scheme, only_allowed] = httpcore2.AsyncConnectionPool(
                ssl_context=self._ssl_context,
                max_connections=256,
                max_keepalive_connections=32,
                keepalive_expiry=self._keep_s,
                network_backend=GuardedBackend(gate),
            )
        return pool

    async def aclose(self) -> None:
        pools, self._open = self._open, {}
        for pool in pools.values():
            await pool.aclose()


class DiedUnused(OutboundUnreachable):
    """A kept connection ended before a byte of the answer came."""


NETWORK_ERRORS = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    # AnyIO and ssl let these through when a handshake fails.
    ssl.SSLError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    OSError,
)


class Progress:
    """How far a request came, told by the HTTP library.

    Attributes:
        sent: bytes of this request may have left, in this or an earlier hop.
    """

    __slots__ = ("_answered", "_connected", "_sending", "sent")

    def __init__(self) -> None:
        self.sent = False
        self.begin()

    def begin(self) -> None:
        """Start the next hop."""
        self._connected = self._sending = self._answered = False

    async def note(self, name: str, _: Mapping[str, Any]) -> None:
        """Take an event of httpcore's `trace` extension."""
        if name == "connection.connect_tcp.started":
            self._connected = True
        elif name == "http11.send_request_headers.started":
            look_before_sending.get()()
            self.sent = self._sending = True
        elif name == "http11.receive_response_headers.complete":
            self._answered = True

    def understood(self, error: BaseException, host: str) -> OutboundUnreachable:
        """Return what `error` means for the request to `host`."""
        if not self._sending:
            return OutboundUnreachable(_why_no_handshake(error, host), sent=self.sent)
        if self._answered and isinstance(error, httpcore2.ProtocolError):
            return OutboundUnreachable(f"The answer of {host} can't be understood.", sent=True)
        reason = f"The connection to {host} ended before the answer was complete."
        if not self._connected and not self._answered:
            return DiedUnused(reason, sent=True)
        return OutboundUnreachable(reason, sent=True)


def _why_no_handshake(error: BaseException, host: str) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"{host} shows a certificate that is not valid for it. Check the address."
        cause = cause.__cause__ or cause.__context__
    return f"No secure connection to {host} could be made. Check the address."
