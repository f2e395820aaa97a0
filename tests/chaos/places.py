"""Where a row of the chaos suite takes place: a stack of its own, on SQLite or PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.proxy import Proxy
from tests.chaos.sink import Sink
from tests.chaos.stack import Stack
from tests.services import OWNER, Postgres


@dataclass
class Place:
    """What all rows of one call share.

    Attributes:
        lease_s: 0 leaves the choice to the row.
    """

    postgres: bool = False
    lease_s: int = 0

    @contextmanager
    def stack(
        self,
        *,
        lease_s: int,
        pause_s: float = 0.05,
        folder: Path | None = None,
        wire: bool = False,
        **env: str,
    ) -> Iterator[tuple[Stack, Sink]]:
        """Yield parts that run, and a sink; all are gone behind the block.

        Args:
            wire: reach PostgreSQL by a proxy that can cut what passes.
        """
        server = Server() if self.postgres else None
        sink = Sink(pause_s=pause_s)
        with tempfile.TemporaryDirectory(dir=folder) as data:
            database = server.create() if server else ""
            if server and wire:
                server.wire = Proxy(server.folder)
                database = server.wire.url(database)
            stack = Stack(Path(data), lease_s=lease_s, database=database, **env)
            stack.server = server
            try:
                yield stack.open(), sink
            except BaseException:
                for name in stack.pids:  # the folder is about to go
                    sys.stderr.write(f"--- {name}\n{stack.log(name)}\n")
                raise
            finally:
                stack.close()
                sink.close()
                if server is not None:
                    server.stop()

    def verdict(
        self, stack: Stack, sink: Sink, seconds: float = 75.0, failed: list[str] | None = None
    ) -> dict[str, Any]:
        """Return what the books say in the end, and how clients were answered.

        Args:
            failed: what went wrong for clients already.
        """
        began = time.monotonic()
        broken = stack.books(sink, seconds) + (failed or [])
        return {
            "acknowledged": len(stack.starts),
            "sent": len(sink.all()),
            "answers": dict(sorted(stack.answers.items())),
            "books_after_s": round(time.monotonic() - began, 1),
            "broken": broken[:20],
        }


class Server(Postgres):
    """A PostgreSQL that can be crashed and started again."""

    wire: Proxy | None = None

    def crash(self) -> None:
        """End it as a power cut of its processes would: nothing is written down."""
        self._admin.close()
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def restart(self) -> None:
        self._process = subprocess.Popen(**self._how)
        self._admin = self._connect()

    def cut(self, most: int) -> int:
        """End the sessions of Deckhand, up to so many; return how many."""
        cut = (
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE usename = %s ORDER BY random() LIMIT %s) AS chosen"
        )
        found = self._admin.execute(cut, (OWNER, most)).fetchone()
        return int(found[0]) if found else 0

    def open_transactions(self) -> int:
        """Count those that began more than a second ago."""
        asked = "SELECT count(*) FROM pg_stat_activity WHERE xact_start < now() - interval '1 s'"
        found = self._admin.execute(asked).fetchone()
        return int(found[0]) if found else 0

    def let_in(self, sessions: int) -> None:
        """Allow Deckhand so many sessions; -1 is as many as it likes."""
        self._admin.execute(f"ALTER ROLE {OWNER} CONNECTION LIMIT {sessions}")

    def stop(self) -> None:
        if self.wire is not None:
            self.wire.close()
        if self._process.poll() is None:
            super().stop()
