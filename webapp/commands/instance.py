"""Which `deckhand up` holds a data folder: DATA/deckhand.lock, locked for as long as it runs."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from webapp.kernel.settings import Settings


class Held(Exception):
    """Another process holds the folder; `holder` is what it wrote about itself."""

    def __init__(self, holder: dict[str, Any]) -> None:
        super().__init__(holder)
        self.holder = holder


class Claim:
    """The right to a data folder, until the process ends."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        path = data / "deckhand.lock"
        self._file: TextIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise Held(_read(path)) from None
        self._file.truncate(0)
        self._length = 0

    def tell(self, facts: dict[str, Any]) -> None:
        """Write what others may know about this instance."""
        text = json.dumps(facts)
        # One write over what stood there: emptying the file first would let others read nothing.
        self._length = max(self._length, len(text))
        os.pwrite(self._file.fileno(), text.ljust(self._length).encode(), 0)

    def release(self) -> None:
        """Give the folder back. The file stays, empty: removing it would race with the next one."""
        self._file.seek(0)
        self._file.truncate()
        self._file.close()


def running(data: Path) -> dict[str, Any] | None:
    """Return what the instance of this folder says about itself, or None when there is none."""
    try:
        with (data / "deckhand.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(data / "deckhand.lock")
    except OSError:
        pass
    return None


def _read(path: Path) -> dict[str, Any]:
    """Return the facts; none when they are being written at this moment."""
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def address(host: str, port: int) -> str:
    """Return where this machine reaches a web process that listens on `host`."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104  not bound here
    return f"http://{shown}:{port}"


def own_name(settings: Settings) -> str:
    """Return the host that requests of our own name, since it has to be a trusted one."""
    return settings.trusted_hosts[0].lstrip(".") if settings.trusted_hosts else "localhost"
