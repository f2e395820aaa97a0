"""The real parts that tests run against: PostgreSQL, Valkey, Chromium, free ports.

Nothing here is a stand-in. Servers belong to the process that starts them and die with it.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from webapp.commands import embedded_valkey

MEMORY = "/dev/shm"

OWNER = "deckhand"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def chromium() -> str | None:
    """Return the path of a Chromium or Chrome, if the machine has one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def chromium_flags() -> list[str]:
    """Return flags for a machine without screen, graphics card or internet."""
    flags = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update"]
    flags += ["--disable-dev-shm-usage", "--font-render-hinting=none"]
    return [*flags, "--no-sandbox"] if os.geteuid() == 0 else flags


def postgres_binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs, newest version first."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    on_path = shutil.which("initdb")
    folders = [*packaged, *([Path(on_path).parent] if on_path else [])]
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdecimal() else 0


def roomy_folder() -> str:
    """Return where the tests keep databases: in memory, if that has 4 GiB, since thousands of them
    on one disk wait for each other.
    """
    try:
        room = shutil.disk_usage(MEMORY).free
    except OSError:
        return "/tmp"
    return MEMORY if room > 4 << 30 and os.access(MEMORY, os.W_OK) else "/tmp"


class Postgres:
    """A server of our own on a unix socket, without fsync: it lives as long as the tests."""

    def __init__(self) -> None:
        binaries = postgres_binaries()
        assert binaries, "PostgreSQL is not installed: apt-get install postgresql"
        # Everybody may walk through, since initdb refuses root and its stand-in must get there.
        self.folder = Path(tempfile.mkdtemp(prefix="deckhand-pg-", dir=roomy_folder()))
        self.folder.chmod(0o755)
        self._log = (self.folder / "log").open("wb")
        self._count = 0
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        self._as = []
        if os.geteuid() == 0:
            user = _ordinary_user()
            os.chown(data, user.pw_uid, user.pw_gid)
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
            self._as += ["--clear-groups", "--pdeathsig=QUIT", "--"]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        subprocess.run(
            [*self._as, str(binaries / "initdb"), "-D", str(data), "-U", "postgres"]
            + ["-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            cwd="/",
            env=environment,
            stdout=self._log,
            stderr=self._log,
        )
        options = {"listen_addresses": "", "unix_socket_directories": self.folder, "fsync": "off"}
        options |= {"full_page_writes": "off", "max_connections": "200", "log_statement": "none"}
        self._how: dict[str, Any] = {
            "args": [*self._as, str(binaries / "postgres"), "-D", str(data)]
            + [word for name, value in options.items() for word in ("-c", f"{name}={value}")],
            "cwd": "/",
            "env": environment,
            "stdout": self._log,
            "stderr": self._log,
            "preexec_fn": None if self._as else die_with_parent,
        }
        self._process = subprocess.Popen(**self._how)
        self._admin = self._connect()
        self._admin.execute(f"CREATE ROLE {OWNER} LOGIN NOSUPERUSER NOBYPASSRLS")

    def _connect(self) -> psycopg.Connection:
        deadline = time.monotonic() + 20
        while True:
            try:
                return psycopg.connect(self._dsn("postgres", "postgres"), autocommit=True)
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)

    def _dsn(self, user: str, name: str) -> str:
        return f"host={self.folder} user={user} dbname={name}"

    def create(self, template: str = "template0") -> str:
        """Return the URL of a new database that its role owns and can't look around in."""
        self._count += 1
        name = f"t{self._count}"
        self._admin.execute(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}")
        return self.url(name)

    def url(self, name: str, role: str = OWNER) -> str:
        return f"postgresql+psycopg://{role}@/{name}?host={self.folder}"

    def drop(self, url: str) -> None:
        self._admin.execute(f"DROP DATABASE IF EXISTS {database_name(url)} WITH (FORCE)")

    def stop(self) -> None:
        self._admin.close()
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def database_name(url: str) -> str:
    """Return the name of a PostgreSQL database of `Postgres.create`."""
    return url.partition("@/")[2].partition("?")[0]


def _ordinary_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("no ordinary user to run PostgreSQL as")


class Valkey:
    """A server of our own on a unix socket; `kill` and `start` are what happens to real ones."""

    def __init__(self, data: Path) -> None:
        self._spec, self.url = embedded_valkey.spec(data)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._spec.argv,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        deadline = time.monotonic() + 10
        assert self._spec.probe
        while not self._spec.probe():
            assert time.monotonic() < deadline, "Valkey does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let it take connections and answer nobody, as a machine that hangs does."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        yield
        self._process.send_signal(signal.SIGCONT)


def die_with_parent() -> None:
    """For preexec_fn: a test process that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
