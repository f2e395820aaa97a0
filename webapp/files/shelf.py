"""Where bytes lie: one port, so that another store can take the disk's place."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

from webapp.kernel.errors import Gone


class Shelf(Protocol):
    """Keeps bytes under their SHA-256 (hexadecimal); putting the same bytes twice is free."""

    def put(self, content: bytes) -> str: ...

    def get(self, sha256: str) -> bytes: ...


def results_shelf(data: Path) -> DiskShelf:
    """Return where large results of runs lie: apart from uploads, since they are kept longer."""
    return DiskShelf(data / "results")


class DiskShelf:
    """`DATA/files/ab/cdef…`, written so that a name never shows half a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        place = self._place(sha256)
        if place.exists():
            return sha256
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, place)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself must survive a power cut
        finally:
            os.close(folder)
        return sha256

    def get(self, sha256: str) -> bytes:
        try:
            return self._place(sha256).read_bytes()
        except FileNotFoundError:
            raise Gone("E-FILE-GONE", until="an earlier day") from None

    def drop(self, sha256: str) -> None:
        """Forget the bytes; nothing must refer to them any more."""
        self._place(sha256).unlink(missing_ok=True)

    def _place(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError("not a SHA-256")
        return self._folder / sha256[:2] / sha256[2:]
