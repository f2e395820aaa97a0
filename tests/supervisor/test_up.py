"""`deckhand up` with the real web process, workers, steward and Valkey."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

from tests.conftest import KEYS
from tests.supervisor.test_supervisor import alive, pids, soon
from webapp.commands import exits
from webapp.commands.instance import running

pytestmark = pytest.mark.timeout(90)


class Up:
    """One `deckhand up` as a process, and what it said."""

    def __init__(
        self,
        data: Path,
        *words: str,
        program: tuple[str, ...] = (sys.executable, "-m", "webapp.commands"),
        cwd: Path | None = None,
        **env: str,
    ) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [*program, "up", "--port", "0", *words],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "DATA": str(data), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: Queue[str | None] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            for line in output:
                self.said.append(line.rstrip())
                self._lines.put(line.rstrip())
        self._lines.put(None)

    def hears(self, start: str, within: float = 40) -> str:
        """Return the first line from now on that begins so."""
        deadline = time.monotonic() + within
        while True:
            try:
                line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except Empty:
                line = None
            if line is not None and line.startswith(start):
                return line
            if line is None:
                raise AssertionError(f"never said “{start}”, but:\n" + "\n".join(self.said))

    def ready(self) -> str:
        """Return the address once it serves."""
        return self.hears("Ready at ").removeprefix("Ready at ")

    def ends(self, number: signal.Signals | None = None) -> int:
        if number:
            self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        self._reader.join(timeout=5)
        return code


def health(url: str) -> int:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            status: int = answer.status
            return status
    except OSError:
        return 0


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    house = Up(tmp_path / "data")
    try:
        house.ready()
        yield house
    finally:
        if house.process.poll() is None:
            house.ends(signal.SIGTERM)


def ended(*words: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "webapp.commands", "up", *words],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_first_start_serves_and_later_ones_do_not_begin_anew(tmp_path: Path) -> None:
    first = Up(tmp_path / "data")
    url = first.ready()
    link = first.hears("  http")
    assert health(url) == 200
    assert f"{url}/setup?code=" in link
    assert first.ends(signal.SIGINT) == 0

    second = Up(tmp_path / "data")
    assert health(second.ready()) == 200
    assert second.ends(signal.SIGTERM) == 0

    assert sum("Made new keys" in line for line in first.said + second.said) == 1
    assert not any("Traceback" in line for line in first.said + second.said)


def status(data: Path, **env: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "webapp.commands", "status", "--json"],
        env={"PATH": os.environ["PATH"], "DATA": str(data), **env},
        capture_output=True,
        check=False,
        timeout=30,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if report.get("ok") else 1)
    return report


def test_status_tells_every_part(up: Up) -> None:
    report = soon(lambda: (found := status(up.data))["ok"] and found, within=20)

    assert report["pid"] == up.process.pid
    names = [child["name"] for child in report["children"]]
    assert names == ["valkey", "web", "worker-1", "worker-2", "steward"]


def test_a_second_start_on_the_folder_says_who_holds_it(up: Up) -> None:
    code, said = ended("--port", "0", DATA=str(up.data))

    assert code == exits.FOLDER_HELD
    assert str(up.process.pid) in said


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        code, said = ended("--port", str(holder.getsockname()[1]), DATA=str(tmp_path))

    assert code == exits.PORT_TAKEN
    assert "another program has it" in said
    assert running(tmp_path) is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    code, said = ended("--data", str(tmp_path / "file" / "data"))

    assert code == exits.SETTINGS
    assert "can't be written" in said
    assert "Traceback" not in said


def test_a_database_that_does_not_answer_is_said(tmp_path: Path) -> None:
    nowhere = f"postgresql://deckhand@/deckhand?host={tmp_path}"

    code, said = ended("--port", "0", DATA=str(tmp_path), DATABASE_URL=nowhere, **KEYS)

    assert code == exits.DATABASE
    assert "Check DATABASE_URL" in said
    assert "Traceback" not in said


def test_it_serves_on_the_database_that_is_named(tmp_path: Path, database_url: str) -> None:
    house = Up(tmp_path, DATABASE_URL=database_url)

    assert health(house.ready()) == 200
    assert house.ends(signal.SIGTERM) == 0


def test_production_serves_and_tells_its_status_under_its_own_name(tmp_path: Path) -> None:
    names = ("SECRET_KEY", "MASTER_KEY", "AUDIT_KEY")
    env = {name: secrets.token_urlsafe(48) for name in names}
    env |= {"APP_ENV": "production", "TRUSTED_HOSTS": "deckhand.example"}
    env |= {"BASE_URL": "https://deckhand.example"}

    house = Up(tmp_path, **env)
    house.ready()

    assert soon(lambda: status(tmp_path, **env)["ok"], within=20)
    assert house.ends(signal.SIGTERM) == 0


@pytest.mark.parametrize("name", ["web", "worker-1", "steward", "valkey"])
def test_a_killed_part_comes_back(up: Up, name: str) -> None:
    soon(lambda: len(pids(up.data)) == 5)
    url = str(soon(lambda: (running(up.data) or {}).get("url")))
    old = pids(up.data)[name]

    os.kill(old, signal.SIGKILL)

    soon(lambda: pids(up.data).get(name, old) != old, within=20)
    assert soon(lambda: health(url) == 200)


def test_nothing_outlives_a_killed_supervisor(up: Up) -> None:
    children = soon(lambda: len(found := pids(up.data)) == 5 and found)
    groups = {pid: os.getpgid(pid) for pid in children.values()}

    up.process.kill()

    assert up.process.wait() == -signal.SIGKILL
    soon(lambda: not any(members(group) for group in groups.values()))
    again = Up(up.data)
    again.ready()
    assert again.ends(signal.SIGTERM) == 0


def members(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        try:
            if os.getpgid(pid) == group and alive(pid):
                found.append(pid)
        except ProcessLookupError:
            continue
    return found
