"""A wire to PostgreSQL that breaks: it counts what passes, and cuts the connection of each nth."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Stands before a server's socket; `every` packets one is cut, none while that is 0.

    A packet is what one read brings, in either direction. Every other one that is cut still
    arrives: a COMMIT may be lost, or only the answer to it.
    """

    def __init__(self, target: Path) -> None:
        self.every = 0
        self.packets = 0
        self.cuts = 0
        self._target = target / SOCKET
        self._folder = tempfile.TemporaryDirectory(prefix="deckhand-wire-")
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._work()])
        self._thread.start()
        self._ready.wait()

    def url(self, url: str) -> str:
        """Return the URL of a database as it is reached by this wire."""
        return f"{url.partition('?')[0]}?host={self._folder.name}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    async def _work(self) -> None:
        path = Path(self._folder.name) / SOCKET
        server = await asyncio.start_unix_server(self._meet, path)
        self._ready.set()
        await self._over.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = (writer, back)
        await asyncio.gather(self._pump(reader, back, ends), self._pump(there, writer, ends))

    async def _pump(
        self,
        source: asyncio.StreamReader,
        into: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while data := await source.read(65536):
                self.packets += 1
                cut = self.every and self.packets % self.every == 0
                self.cuts += bool(cut)
                if not cut or self.cuts % 2:
                    into.write(data)
                    await into.drain()
                if cut:
                    await asyncio.sleep(0)  # what still arrives is on its way
                    break
        for end in ends:
            end.close() if not self._over.is_set() else end.transport.abort()
