"""The HTTP client that model libraries get, with the same rules as every other request.

The OpenAI library brings no client of its own then: its proxies from the environment, cookies,
password files and redirects are off, and each connection goes through `outbound.Gate`.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence

import httpcore2
import httpx2

from webapp.kernel.addresses import AllowList
from webapp.kernel.outbound import CONNECT_S, Resolver
from webapp.kernel.outbound_calls import MOST_HEADER_BYTES, is_credential
from webapp.kernel.outbound_errors import OutboundError
from webapp.kernel.outbound_pools import NETWORK_ERRORS, Pools, Progress
from webapp.kernel.outbound_urls import read_url

FIRST_BYTE_S = 60.0
MOST_BYTES = 4 * 1024 * 1024
"""Of one answer or stream."""

_CODING = b"content-encoding"

# At INFO it logs each address with its query.
logging.getLogger("httpx2").setLevel(logging.WARNING)


def guarded_client_for_models(
    allow: AllowList,
    *,
    resolve: Resolver | None = None,
    ssl_context: ssl.SSLContext | None = None,
    read_s: float = FIRST_BYTE_S,
    max_bytes: int = MOST_BYTES,
    as_error: Callable[[OutboundError], Exception] | None = None,
) -> httpx2.AsyncClient:
    """Return a client for `AsyncOpenAI(http_client=...)`; one per event loop, to be closed.

    A refused address comes out as `httpx2.ConnectError` with the sentence as its text, like
    everything that went wrong before a byte was sent; so libraries need to know nothing of us.

    Args:
        allow: what the operator opened; a model server on a private address has to be in it.
        read_s: longest silence, before the first byte and between two.
        max_bytes: of one answer or stream.
        as_error: makes what is raised instead of `ConnectError`.
    """
    pools = Pools(allow, resolve, ssl_context, keep_s=15.0)
    return httpx2.AsyncClient(
        transport=_GuardedTransport(pools, max_bytes, as_error),
        timeout=httpx2.Timeout(read_s, connect=CONNECT_S),
        headers={"Accept-Encoding": "identity"},  # so that bytes on the wire are what is counted
        follow_redirects=False,
        trust_env=False,
    )


class _GuardedTransport(httpx2.AsyncBaseTransport):
    def __init__(
        self,
        pools: Pools,
        max_bytes: int,
        as_error: Callable[[OutboundError], Exception] | None,
    ) -> None:
        self._pools = pools
        self._max_bytes = max_bytes
        self._as_error = as_error

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        progress = Progress()
        try:
            response = await self._send(request, progress)
        except OutboundError as error:
            if self._as_error is not None:
                raise self._as_error(error) from error
            raise httpx2.ConnectError(error.reason, request=request) from error
        except NETWORK_ERRORS as error:
            if progress.sent:
                raise _as_httpx(error, request) from error
            reason = progress.understood(error, request.url.host).reason
            raise httpx2.ConnectError(reason, request=request) from error
        stream = _CountedStream(response, request, self._max_bytes)
        headers = [pair for pair in response.headers if pair[0].lower() != b"set-cookie"]
        if not _is_plain(headers):
            await stream.aclose()
            raise httpx2.RemoteProtocolError(
                "The answer is packed, or its headers are too large.", request=request
            )
        return httpx2.Response(response.status, headers=headers, stream=stream)

    async def _send(self, request: httpx2.Request, progress: Progress) -> httpcore2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        return await self._pools.send(
            read_url(str(request.url)),
            request.method,
            [pair for pair in request.headers.raw if pair[0].lower() != b"host"],
            request.stream,
            with_credential=any(is_credential(name) for name in request.headers),
            extensions={
                "timeout": request.extensions.get("timeout", {}),
                "trace": progress.note,
            },
        )

    async def aclose(self) -> None:
        await self._pools.aclose()


class _CountedStream(httpx2.AsyncByteStream):
    def __init__(
        self, response: httpcore2.Response, request: httpx2.Request, most_bytes: int
    ) -> None:
        self._response = response
        self._request = request
        self._left = most_bytes
        # One for all: OpenAI's library comes back for the rest behind the end of a stream.
        self._pieces = response.aiter_stream()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                self._left -= len(piece)
                if self._left < 0:
                    raise httpx2.ReadError("The answer is too large.", request=self._request)
                yield piece
        except NETWORK_ERRORS as error:
            raise _as_httpx(error, self._request) from error

    async def aclose(self) -> None:
        await self._pieces.aclose()
        await self._response.aclose()


def _is_plain(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    codings = {value.strip().lower() for name, value in headers if name.lower() == _CODING}
    size = sum(len(name) + len(value) + 4 for name, value in headers)
    return codings <= {b"", b"identity"} and size <= MOST_HEADER_BYTES


def _as_httpx(error: BaseException, request: httpx2.Request) -> httpx2.TransportError:
    """The two libraries give the same names to their errors."""
    kind = getattr(httpx2, type(error).__name__, None)
    if not (isinstance(kind, type) and issubclass(kind, httpx2.TransportError)):
        kind = httpx2.ReadError
    return kind("The connection to the model server broke.", request=request)
