"""The parts of a Deckhand, each started alone and with nobody to tend it.

Under `deckhand up` a part that dies is started again, and one that stands still is killed. Here it
stays as the test left it: dead, or stopped for as long as it likes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.chaos.client import Client
from tests.chaos.history_check import check
from tests.chaos.life import Life
from tests.chaos.sink import Sink
from tests.conftest import KEYS, test_settings
from tests.services import Valkey, die_with_parent
from webapp.commands.db import migrate

ROOT = Path(__file__).parents[2]
PARTS = {
    "web": ["gunicorn", "-c", "python:webapp.commands.serving", "webapp.wsgi:app"],
    "worker": ["jobs.worker"],
    "steward": ["jobs.steward"],
}
BOOT_S = 60.0


class Stack(Client):
    """One database, one Valkey, one address, and parts by name: `worker-2` is a worker."""

    def __init__(self, data: Path, *, lease_s: int = 15, database: str = "", **env: str) -> None:
        self.data = data
        self.database = database or f"sqlite:///{data}/deckhand.sqlite3"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.listener.set_inheritable(True)
        self.port: int = self.listener.getsockname()[1]
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.valkey = Valkey(data)
        self.env = {
            **KEYS,
            "PATH": os.environ["PATH"],
            "APP_ENV": "testing",
            "DATA": str(data),
            "DATABASE_URL": self.database,
            "REDIS_URL": self.valkey.url,
            "PORT": str(self.port),
            "DECKHAND_LISTENER_FD": str(self.listener.fileno()),
            "WEB_THREADS": "64",
            "OUTBOUND_ALLOW": "127.0.0.1/32:9000-9999",
            "LEASE_S": str(lease_s),
            "LOG_LEVEL": "warning",
            **env,
        }
        self.server: Any = None
        """The PostgreSQL behind it, when it is the test's own."""
        self.pids: dict[str, int] = {}
        self._lives: dict[str, Life] = {}
        self._forge = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.chaos.forge"],
            cwd=ROOT,
            env={**self.env, "APP_ENV": "testing"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self.listener.fileno(),),
            preexec_fn=die_with_parent,
            text=True,
            bufsize=1,
        )

    def open(self) -> Stack:
        """Make the database and a key to the API; start web, a steward and a worker."""
        migrate(test_settings(self.data, self.database))
        self.key = json.loads(self.command("keys", "create", "--name", "t", "--json"))["key"]
        assert self._forge.stdout
        assert self._forge.stdout.readline() == "ready\n"
        for name in ("web", "steward", "worker"):
            self.begin(name)
        self.answers_again()
        return self

    def command(self, *words: str) -> str:
        """Run `deckhand ...` and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "webapp.commands", *words],
            env={**self.env},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def history(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.command("history", "export", "--json"))
        return told

    def books(self, sink: Sink, seconds: float = 75.0) -> list[str]:
        """Return what is broken once all has settled; a delivery may take a minute to go again."""
        until = time.monotonic() + seconds
        while True:
            broken = check(self.history(), self.starts, sink.all())
            if not broken or time.monotonic() > until:
                return broken
            time.sleep(1)

    def begin(self, name: str, **env: str) -> int:
        """Start a part, with `env` besides; its name must be free."""
        assert not self.alive(name), f"{name} still runs"
        assert self._forge.stdin
        assert self._forge.stdout
        order = {
            "argv": PARTS[name.partition("-")[0]],
            "env": self.env | env,
            "log": str(self.data / f"{name}.log"),
        }
        self._forge.stdin.write(json.dumps(order) + "\n")
        self._lives[name] = Life(int(self._forge.stdout.readline()))
        self.pids[name] = self._lives[name].pid
        return self.pids[name]

    def alive(self, name: str) -> bool:
        return name in self._lives and not self._lives[name].is_over()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part and everything it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pids[name], number)

    def kill(self, *names: str) -> None:
        """SIGKILL parts, all at once, and return when they are gone."""
        for name in names:
            self.signal(name, signal.SIGKILL)
        for name in names:
            self.gone(name)

    def kill_all(self) -> None:
        """SIGKILL everything that stands: parts and Valkey."""
        for name in self.pids:
            self.signal(name, signal.SIGKILL)
        self.valkey.kill()
        for name in self.pids:
            self.gone(name)

    def tend(self) -> None:
        """Start again what is dead, as `deckhand up` would."""
        for name in self.pids:
            if not self.alive(name):
                self.begin(name)

    def end(self, name: str, seconds: float = 20.0) -> float:
        """End a part in order; return how long it took."""
        began = time.monotonic()
        os.kill(self.pids[name], signal.SIGTERM)
        self.gone(name, seconds)
        return time.monotonic() - began

    def gone(self, name: str, seconds: float = BOOT_S) -> None:
        """Return when a part has died."""
        self.is_dead(self._lives[name], name, seconds)

    def is_dead(self, life: Life, name: str, seconds: float = BOOT_S) -> None:
        assert life.is_over(seconds), f"{name} lives on\n{self.log(name)}"

    def serving(self) -> Life:
        """Return the process of the web that answers; gunicorn keeps it, and starts it again."""
        until = time.monotonic() + BOOT_S
        web = self.pids["web"]
        while not (kept := Path(f"/proc/{web}/task/{web}/children").read_text().split()):
            assert time.monotonic() < until, f"the web does not begin\n{self.log('web')}"
            time.sleep(0.01)
        return Life(int(kept[0]))

    def log(self, name: str) -> str:
        path = self.data / f"{name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def answers_again(self, seconds: float = BOOT_S) -> float:
        """Return how long it took until the API answered a question to the database."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            if self.call("GET", "/api/v1/workflows")[0] == 200:
                return time.monotonic() - began
            time.sleep(0.05)
        raise AssertionError(f"no answer within {seconds} s\n{self.log('web')}")

    def close(self) -> None:
        for name in self.pids:
            self.signal(name, signal.SIGCONT)
            self.signal(name, signal.SIGKILL)
        with self._forge as forge:  # closes its pipes
            forge.kill()
        self.valkey.kill()
        self.listener.close()
