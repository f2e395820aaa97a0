"""A web server on loopback that a test scripts, and a record of every connection tried."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from webapp.kernel.addresses import AllowList, parse_allow

_connects: list[Any] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _connects is not None and event in {"socket.connect", "socket.getaddrinfo"}:
        _connects.append((event, arguments[1:]))


@contextmanager
def every_connection() -> Iterator[list[Any]]:
    """Give a list that grows with each connection and look-up of this process."""
    global _connects
    if not hasattr(sys, "_deckhand_outbound_watched"):
        sys.addaudithook(_watch)  # can't be taken off again
        sys._deckhand_outbound_watched = True  # type: ignore[attr-defined]
    found: list[Any] = []
    _connects = found
    try:
        yield found
    finally:
        _connects = None


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


Answer = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    answer: Answer
    port: int = 0
    connections: int = 0
    requests: list[Received] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def allow(self) -> AllowList:
        return parse_allow(f"127.0.0.1/32:{self.port}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                request = await _read(reader, number)
                self.requests.append(request)
                await self.answer(request, writer)
                await writer.drain()
        writer.close()


async def _read(reader: asyncio.StreamReader, connection: int) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body, connection)


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in server.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def reply(body: bytes = b"ok", status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(*args: Any, **kwargs: Any) -> Answer:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(*args, **kwargs))

    return answer


def by_path(answers: Mapping[str, bytes]) -> Answer:
    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answers[request.path])

    return answer


class Names:
    """A DNS of one's own, which counts. A list of lists gives another answer each time."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            name.replace("_", "."): answer for name, answer in answers.items()
        }
        self.asked: list[str] = []

    async def __call__(self, name: str) -> list[str]:
        times = self.asked.count(name)
        self.asked.append(name)
        answer = self.answers.get(name)
        if not answer:
            raise OSError("no such name")
        found: list[str] = answer
        if isinstance(answer[0], list):
            found = answer[min(times, len(answer) - 1)]
        return found
