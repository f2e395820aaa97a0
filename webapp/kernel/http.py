"""Ask other systems over HTTP, without being led into a private network.

Everything that leaves by HTTP goes through this client or through
`http_for_models.guarded_client_for_models`. They share the rules for addresses (`outbound_urls`,
`addresses`), the connector (`outbound`) and the pools (`outbound_pools`). No proxy and no
password file is taken from the environment, and no cookie is kept.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import httpcore2

from webapp.kernel.addresses import AllowList
from webapp.kernel.outbound import CONNECT_S, Resolver
from webapp.kernel.outbound_bodies import Body, too_large
from webapp.kernel.outbound_calls import (
    MOST_HEADER_BYTES,
    Call,
    Credential,
    Headers,
    first_call,
    next_call,
)
from webapp.kernel.outbound_errors import (
    OutboundError,
    OutboundRefused,
    OutboundTooLarge,
    OutboundUnreachable,
)
from webapp.kernel.outbound_pools import NETWORK_ERRORS, DiedUnused, Pools, Progress

__all__ = [
    "Credential",
    "HttpAnswer",
    "HttpClient",
    "OutboundError",
    "OutboundRefused",
    "OutboundTooLarge",
    "OutboundUnreachable",
]

TOTAL_S = 30.0
MOST_BYTES = 1024 * 1024
MOST_REDIRECTS = 3

_REPEATABLE = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}
_REDIRECTS = {301, 302, 303, 307, 308}

# At DEBUG it logs addresses and headers, which may hold secrets.
logging.getLogger("httpcore2").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Attributes: headers: lower-case names, repeated ones joined; url: where redirects ended."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str


class HttpClient:
    """One per event loop; close it when the loop ends.

    Args:
        allow: what the operator opened besides public addresses.
        resolve, ssl_context: only tests bring their own.
    """

    def __init__(
        self,
        allow: AllowList,
        *,
        resolve: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        # Shorter than the 2 s after which the quickest common servers hang up, so that a
        # request seldom meets a connection that is just being closed.
        self._pools = Pools(allow, resolve, ssl_context, keep_s=1.5)

    async def request(
        self,
        method: str,
        url: str,
        headers: Headers = (),
        body: bytes | None = None,
        timeout_s: float = TOTAL_S,
        max_bytes: int = MOST_BYTES,
        *,
        credentials: Sequence[Credential] = (),
        redirects: int = 0,
    ) -> HttpAnswer:
        """Send one request and return the whole answer, whatever its status.

        Args:
            headers: those that hold secrets by their name are only sent over https, or to
                addresses that the operator opened.
            timeout_s: for everything together; 5 s of it for the connection.
            max_bytes: of the body after unpacking.
            credentials: sent to their own hosts only.
            redirects: how many may be followed, at most 3; 0 returns the answer that redirects.

        Raises:
            OutboundRefused: a rule forbids it.
            OutboundUnreachable: no whole answer came; `sent` says whether the request left.
            OutboundTooLarge: the answer passes a limit.
        """
        call = first_call(method, url, headers, body, credentials)
        progress = Progress()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(call, progress, max_bytes, min(redirects, MOST_REDIRECTS))
        except TimeoutError:
            raise OutboundUnreachable(
                f"No complete answer came within {timeout_s:g} seconds.", sent=progress.sent
            ) from None

    async def _follow(
        self, call: Call, progress: Progress, max_bytes: int, redirects: int
    ) -> HttpAnswer:
        for _ in range(redirects):
            answer = await self._repeated(call, progress, max_bytes, whole=False)
            if not _redirects(answer):
                return answer
            call = next_call(call, answer.status, answer.headers["location"])
        answer = await self._repeated(call, progress, max_bytes, whole=not redirects)
        if redirects and _redirects(answer):
            raise OutboundRefused(f"The answer redirects more than {redirects} times.", sent=True)
        return answer

    async def _repeated(
        self, call: Call, progress: Progress, max_bytes: int, *, whole: bool
    ) -> HttpAnswer:
        """A kept connection may have died unnoticed; what may be repeated gets another one."""
        try:
            return await self._once(call, progress, max_bytes, whole)
        except DiedUnused:
            if call.method not in _REPEATABLE:
                raise
            return await self._once(call, progress, max_bytes, whole)

    async def _once(
        self, call: Call, progress: Progress, max_bytes: int, whole: bool
    ) -> HttpAnswer:
        progress.begin()
        target = call.target
        try:
            response = await self._pools.send(
                target,
                call.method,
                call.wire_headers(),
                call.body or b"",
                with_credential=call.has_credential,
                extensions={"trace": progress.note, "timeout": {"connect": CONNECT_S}},
            )
            try:
                bare = HttpAnswer(response.status, _headers(response), b"", target.url)
                if _redirects(bare) and not whole:
                    return bare
                return replace(bare, body=await _body(response, bare.headers, call, max_bytes))
            finally:
                await response.aclose()
        except OutboundError as error:
            error.sent = error.sent or progress.sent
            raise
        except NETWORK_ERRORS as error:
            raise progress.understood(error, target.host) from None

    async def aclose(self) -> None:
        await self._pools.aclose()

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _redirects(answer: HttpAnswer) -> bool:
    return answer.status in _REDIRECTS and "location" in answer.headers


async def _body(
    response: httpcore2.Response, headers: Mapping[str, str], call: Call, max_bytes: int
) -> bytes:
    announced = headers.get("content-length", "")
    is_sent = call.method != "HEAD" and response.status not in {204, 304}
    if is_sent and announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise too_large(max_bytes)
    body = Body(headers.get("content-encoding", ""), max_bytes)
    async with aclosing(response.aiter_stream()) as pieces:
        async for piece in pieces:
            body.feed(piece)
    return body.whole()


def _headers(response: httpcore2.Response) -> dict[str, str]:
    if sum(len(name) + len(value) + 4 for name, value in response.headers) > MOST_HEADER_BYTES:
        raise OutboundTooLarge("The headers of the answer are larger than 64 kB.")
    headers: dict[str, str] = {}
    for name, value in response.headers:
        key = name.decode("ascii", "replace").lower()
        text = value.decode("utf-8", "replace")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
