"""The one way out: each connection to another system is looked up, checked and made here.

A name is looked up once, every answer is checked, and the connection goes to a checked address
and nowhere else, so that a second, different answer of the DNS has nobody to give itself to.
The certificate is still checked for the name.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from ipaddress import ip_address
from typing import TypeAlias

import httpcore2

from webapp.kernel.addresses import Address, AllowList, is_public
from webapp.kernel.outbound_errors import OutboundRefused, OutboundUnreachable
from webapp.kernel.outbound_urls import read_host

PORTS = frozenset({80, 443, 8080, 8443})
CONNECT_S = 5.0
MOST_ANSWERS = 256
MOST_TRIES = 4
"""Addresses of one name that are tried, one after the other."""

Resolver: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""Gives all addresses of a name; raises OSError when there are none."""


class Gate:
    """Decides where connections may lead.

    Args:
        allow: private ranges and unusual ports that the operator opened.
        resolve: looks names up; the system's way unless a test brings its own.
        ports: open for public addresses.
        only_allowed: public addresses are closed too. For what must not cross the internet
            in clear, such as a key over http to a model server in the same rack.
    """

    def __init__(
        self,
        allow: AllowList,
        resolve: Resolver | None = None,
        *,
        ports: Iterable[int] = PORTS,
        only_allowed: bool = False,
    ) -> None:
        self._allow = allow
        self._resolve = resolve or look_up
        self._ports = frozenset(ports)
        self._only_allowed = only_allowed

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return the addresses of `host` to connect to, in the order of the resolver.

        Raises:
            OutboundRefused: at least one answer is not allowed.
            OutboundUnreachable: the name has no address.
        """
        self._check_port(port)
        target = read_host(host)
        if not isinstance(target, str):
            self._check(target, port, host)
            return [target]
        found = await self._look_up(target)
        for address in found:
            self._check(address, port, host)
        return found

    def _check_port(self, port: int) -> None:
        if port not in self._ports and not self._allow.knows_port(port):
            usual = ", ".join(str(usual) for usual in sorted(self._ports))
            raise OutboundRefused(
                f"Port {port} is not open to requests. The open ones are {usual}; "
                "whoever keeps the machine can open others with OUTBOUND_ALLOW."
            )

    def _check(self, address: Address, port: int, host: str) -> None:
        if self._allow.covers(address, port):
            return
        if self._only_allowed:
            raise OutboundRefused("A key or password is only sent over https. Change the address.")
        if not is_public(address):
            raise OutboundRefused(
                f"“{host}” leads into a private network. Only public addresses can be reached; "
                "whoever keeps the machine can open others with OUTBOUND_ALLOW."
            )
        if port not in self._ports:
            raise OutboundRefused(f"Port {port} of “{host}” is not open to requests.")

    async def _look_up(self, name: str) -> list[Address]:
        try:
            answers = list(dict.fromkeys(await self._resolve(name)))
        except OSError:
            answers = []
        if not answers:
            raise OutboundUnreachable(
                f"The name “{name}” was not found. Check the address.", sent=False
            )
        if len(answers) > MOST_ANSWERS:
            raise OutboundRefused(f"“{name}” has more than {MOST_ANSWERS} addresses.")
        return [ip_address(answer) for answer in answers]


@cache
def _threads() -> ThreadPoolExecutor:
    # Its own threads: a name server that does not answer holds one for half a minute, and the
    # event loop's few threads have other work.
    return ThreadPoolExecutor(max_workers=32, thread_name_prefix="look-up")


async def look_up(name: str) -> list[str]:
    """Ask the system's resolver for all addresses of `name`."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), _ask_system, name)


def _ask_system(name: str) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Makes the connections of an HTTP library, through a `Gate`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        deadline = time.monotonic() + min(timeout or CONNECT_S, CONNECT_S)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                addresses = await self._gate.addresses(host, port)
        except TimeoutError:
            raise OutboundUnreachable(
                f"The name “{host}” could not be looked up in time.", sent=False
            ) from None
        return await self._first_that_answers(addresses[:MOST_TRIES], host, port, deadline)

    async def _first_that_answers(
        self, addresses: Sequence[Address], host: str, port: int, deadline: float
    ) -> httpcore2.AsyncNetworkStream:
        too_slow = False
        for tries_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            left_s = max(deadline - time.monotonic(), 0.001)
            try:
                return await self._sockets.connect_tcp(
                    str(address), port, timeout=left_s / tries_left
                )
            except httpcore2.ConnectTimeout:
                too_slow = True
            except httpcore2.ConnectError:
                pass
        why = "did not answer in time" if too_slow else "does not accept connections"
        raise OutboundUnreachable(f"{host} {why} on port {port}.", sent=False)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise OutboundRefused("A socket file is no address on the web.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
