"""A whole Deckhand under `deckhand up`, for tests that kill parts of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.chaos.client import Client
from tests.services import free_port

READY_S = 60.0


class House(Client):
    """Starts `deckhand up` on a data folder of its own; `kill` takes a part by name or all."""

    def __init__(
        self,
        data: Path,
        *,
        lease_s: int = 15,
        workers: int | None = 2,
        root: Path | None = None,
        **env: str,
    ) -> None:
        """
        Args:
            workers: None leaves it to `deckhand up`.
            root: where the code lies; else here.
        """
        self.data = data
        self.root = root
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("DECKHAND_")},
            "APP_ENV": "testing",
            "OUTBOUND_ALLOW": "127.0.0.1/32:9000-9999",
            "LEASE_S": str(lease_s),
            **env,
        }
        self.workers = workers
        self.process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start and return when the first answer comes."""
        if "DATABASE_URL" in self.env and not self.key:
            self.command("db", "upgrade")  # `up` migrates only the database it made itself
        with (self.data / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "webapp.commands", "up"),
                    *("--data", str(self.data), "--port", str(self.port)),
                    *(() if self.workers is None else ("--workers", str(self.workers))),
                ],
                cwd=self.root,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_ready()
        if not self.key:
            self.key = self._make_key()

    def wait_until_ready(self) -> None:
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            assert self.process is None or self.process.poll() is None, self.log()
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"no answer within {READY_S} s\n{self.log()}")

    def log(self) -> str:
        return (self.data / "up.log").read_text(errors="replace")[-4000:]

    def _make_key(self) -> str:
        key: str = json.loads(self.command("keys", "create", "--name", "t", "--json"))["key"]
        return key

    def history(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.command("history", "export", "--json"))
        return told

    def command(self, *words: str) -> bytes:
        """Run `deckhand ...` and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "webapp.commands", *words],
            env={**self.env, "DATA": str(self.data)},
            cwd=self.root,
            capture_output=True,
            check=True,
        )
        return done.stdout

    def children(self) -> dict[str, int]:
        """Return the pids of the running parts by name."""
        held = json.loads((self.data / "deckhand.lock").read_text())
        return {child["name"]: child["pid"] for child in held["children"] if child["pid"]}

    def pids(self) -> list[int]:
        """Return the supervisor and its parts."""
        assert self.process is not None
        return [self.process.pid, *self.children().values()]

    def kill(self, part: str) -> None:
        """SIGKILL a part ("web", "steward", "valkey", a worker by name) or "all" at once."""
        assert self.process is not None
        if part == "all":
            pids = [*self.children().values(), self.process.pid]
            for pid in pids:
                _kill(pid)
            self.process.wait()
            return
        _kill(self._pid_of(part))

    def _pid_of(self, part: str) -> int:
        """Return the part's pid; one that was killed a moment ago is awaited."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            pid = self.children().get(part)
            if pid is not None and Path(f"/proc/{pid}").exists():
                return pid
            time.sleep(0.05)
        raise AssertionError(f"{part} does not come back\n{self.log()}")

    def stop(self) -> int:
        """End in order and return the exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
