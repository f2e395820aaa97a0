"""What is sent: checked headers, credentials for their own hosts, and what a redirect changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from urllib.parse import urljoin

from webapp.kernel.outbound_bodies import UNDERSTOOD
from webapp.kernel.outbound_errors import OutboundRefused
from webapp.kernel.outbound_urls import Target, read_url, refuse_odd_text

MOST_HEADER_BYTES = 64 * 1024

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
_OURS = {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"}
_OURS |= {"te", "trailer", "expect", "http2-settings", "proxy-connection", "proxy-authorization"}
_KEPT_ELSEWHERE = {"accept", "accept-encoding", "accept-language", "user-agent"}
"""All that another origin gets to see; any other header could hold a secret."""
_CREDENTIAL = re.compile(r"authorization|cookie|token|secret|password|api-?key|signature")


@dataclass(frozen=True, slots=True)
class Credential:
    """A header with a secret, and the hosts that may get it.

    Attributes:
        hosts: host names, each as `api.example.com` or, on an unusual port, with `:9443`.
    """

    header: str
    value: str = field(repr=False)
    hosts: tuple[str, ...] = ()

    def is_for(self, target: Target) -> bool:
        return target.authority in (host.lower() for host in self.hosts)


def is_credential(header: str) -> bool:
    """Return whether a header of this name probably holds a secret."""
    return _CREDENTIAL.search(header.lower()) is not None


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    target: Target
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    credentials: tuple[Credential, ...]

    @property
    def has_credential(self) -> bool:
        return bool(self.credentials) or any(is_credential(name) for name, _ in self.headers)

    def wire_headers(self) -> list[tuple[bytes, bytes]]:
        """All headers but `Host`."""
        given = {name.lower() for name, _ in self.headers}
        sent: list[tuple[str, str]] = []
        if "user-agent" not in given:
            sent.append(("User-Agent", "Deckhand"))
        if "accept" not in given:
            sent.append(("Accept", "*/*"))
        if "accept-encoding" not in given:
            sent.append(("Accept-Encoding", UNDERSTOOD))
        sent += self.headers
        # The last moment before the socket: nothing else ever holds these values together
        # with the request.
        sent += ((each.header, each.value) for each in self.credentials)
        if self.body is not None or self.method in {"POST", "PUT", "PATCH"}:
            sent.append(("Content-Length", str(len(self.body or b""))))
        return [(name.encode(), value.encode()) for name, value in sent]


def first_call(
    method: str,
    url: str,
    headers: Headers,
    body: bytes | None,
    credentials: Sequence[Credential],
) -> Call:
    if method not in _METHODS:
        raise OutboundRefused("This method can't be used. Choose GET, POST, PUT, PATCH or DELETE.")
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    _check_headers([*pairs, *((each.header, each.value) for each in credentials)])
    target = read_url(url)
    for credential in credentials:
        if not credential.is_for(target):
            raise OutboundRefused(
                f"The connection's key is not for {target.authority}. "
                "Allow this host in the connection, or change the address."
            )
    return Call(method, target, pairs, body, tuple(credentials))


def _check_headers(pairs: Iterable[tuple[str, str]]) -> None:
    size = 0
    for name, value in pairs:
        if not _HEADER_NAME.fullmatch(name):
            raise OutboundRefused("A header has a name that can't be sent.")
        if name.lower() in _OURS:
            raise OutboundRefused(f"The header “{name}” is set by Deckhand. Remove it.")
        if not _HEADER_VALUE.fullmatch(value) or value != value.strip():
            raise OutboundRefused(f"The header “{name}” has a line break or a space at its end.")
        size += len(name) + len(value)
    if size > MOST_HEADER_BYTES:
        raise OutboundRefused("The headers are larger than 64 kB together.")


def next_call(call: Call, status: int, location: str) -> Call:
    """Return the request that a redirect asks for; all rules apply to it again.

    Source of the method rule: WHATWG Fetch, HTTP-redirect fetch.
    """
    try:
        refuse_odd_text(location)  # `urljoin` would drop some of it
        target = read_url(urljoin(call.target.url, location))
    except (OutboundRefused, ValueError):
        raise OutboundRefused(
            "The answer redirects to an address that can't be used.", sent=True
        ) from None
    becomes_get = (status == 303 and call.method != "HEAD") or (
        status in {301, 302} and call.method == "POST"
    )
    if becomes_get:
        kept = tuple(pair for pair in call.headers if not pair[0].lower().startswith("content-"))
        call = replace(call, method="GET", body=None, headers=kept)
    if target.origin == call.target.origin:
        return replace(call, target=target)
    if call.body:
        raise OutboundRefused(
            f"The answer redirects the content that was sent to another site, {target.host}.",
            sent=True,
        )
    kept = tuple(pair for pair in call.headers if pair[0].lower() in _KEPT_ELSEWHERE)
    return replace(call, target=target, headers=kept, credentials=())
