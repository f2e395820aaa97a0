"""Starts runs at a rate that does not care how they are answered, from a process of its own.

    python -m tests.chaos.flood URL KEY WORKFLOW RATE SECONDS NAME

NAME begins the key of each start. What came of it is printed as one JSON object. A start whose turn came while every connection was
waiting for an answer, for longer than `LATE_S`, counts as one that could not even be sent.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from tests.chaos.client import Client

Figures = dict[str, Any]

CONNECTIONS: Final = 800
LATE_S: Final = 1.0
PATIENCE_S: Final = 30.0


@dataclass
class Told:
    """What was sent, and how it was answered; 0 is no answer."""

    sent: int = 0
    unsent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    starts: dict[str, str] = field(default_factory=dict)
    accepted_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)


class Pace:
    """Hands out the moments at which a start is due, each once."""

    def __init__(self, rate: float, seconds: float, told: Told) -> None:
        self._rate, self._told = rate, told
        self._began = time.monotonic()
        self._end = self._began + seconds
        self._next = 0

    async def turn(self) -> int | None:
        """Return the number of the next start when it is due; None when it is over."""
        late_s = time.monotonic() - self._began - self._next / self._rate
        if late_s > LATE_S:
            skipped = int((late_s - LATE_S) * self._rate)
            self._told.unsent += skipped
            self._next += skipped
        number = self._next
        self._next += 1
        due = self._began + number / self._rate
        if due >= self._end:
            return None
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        return number


async def flood(
    url: str, key: str, workflow: str, rate: float, seconds: float, called: str
) -> Told:
    """Start runs of a workflow; return what came of it."""
    told = Told()
    pace = Pace(rate, seconds, told)
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    head = (
        f"POST /api/v1/workflows/{workflow}/run HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n"
        "Content-Type: application/json\r\n"
    )

    async def client() -> None:
        wire: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while (number := await pace.turn()) is not None:
            name = f"{called}-{number}"
            body = json.dumps({"inputs": {"name": name}})
            more = f"Idempotency-Key: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
            began = time.monotonic()
            told.sent += 1
            try:
                async with asyncio.timeout(PATIENCE_S):
                    wire = wire or await asyncio.open_connection(host, port)
                    wire[1].write((head + more + body).encode())
                    status, fields, answer = await _answer(wire[0])
            except (OSError, asyncio.IncompleteReadError, ValueError):
                status, fields, answer = 0, {}, b""
            _note(told, name, status, fields, answer, (time.monotonic() - began) * 1000)
            if wire is not None and (status == 0 or fields.get("connection") == "close"):
                wire[1].close()
                wire = None
        if wire is not None:
            wire[1].close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return told


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = raw.strip().split("\r\n")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(fields.get("content-length", 0)))
    return int(first.split()[1]), fields, body


def _note(
    told: Told, name: str, status: int, fields: dict[str, str], answer: bytes, took_ms: float
) -> None:
    told.statuses[status] += 1
    if 200 <= status < 300:
        told.starts[name] = json.loads(answer)["id"]
        told.accepted_ms.append(took_ms)
        return
    told.refused_ms.append(took_ms)
    if "retry-after" not in fields:
        told.without_retry_after += 1


def flooded(client: Client, workflow: str, rate: float, seconds: float, called: str) -> Figures:
    """Flood from another process, and return what came of it."""
    words = [client.url, client.key, workflow, str(rate), str(seconds), called]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.flood", *words], stdout=subprocess.PIPE, check=True
    )
    told: Figures = json.loads(done.stdout)
    return told


def main(url: str, key: str, workflow: str, rate: str, seconds: str, called: str) -> None:
    """Print what came of it."""
    told = asyncio.run(flood(url, key, workflow, float(rate), float(seconds), called))
    json.dump(vars(told), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
