"""What the children say: to one file each, and to the terminal under their names."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import BinaryIO

KEEP_BYTES = 10 * 1024 * 1024


class Style(Enum):
    """How a child's lines show in the terminal."""

    NAMED = "named"
    PLAIN = "plain"
    FILE_ONLY = "file only"


class Logs:
    """Whole lines only, so that two children never share one; a full file makes room once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._rest: dict[str, bytes] = {}

    def say(self, line: str) -> None:
        """Write a line of the supervisor itself."""
        self.write("up", line.encode() + b"\n")

    def announce(self, line: str) -> None:
        """Write a line that others wait for, as it is."""
        self.write("up", line.encode() + b"\n", Style.PLAIN)

    def write(self, name: str, chunk: bytes, style: Style = Style.NAMED) -> None:
        *lines, self._rest[name] = (self._rest.get(name, b"") + chunk).split(b"\n")
        if lines:
            self._put(name, lines, style)

    def end(self, name: str, style: Style = Style.NAMED) -> None:
        """Write what came without a line's end."""
        rest = self._rest.pop(name, b"")
        if rest:
            self._put(name, [rest], style)

    def _put(self, name: str, lines: list[bytes], style: Style) -> None:
        file = self._file(name)
        file.write(b"\n".join(lines) + b"\n")
        if style is Style.FILE_ONLY:
            return
        prefix = f"{name:9}| ".encode() if style is Style.NAMED else b""
        try:
            sys.stdout.buffer.write(b"".join(prefix + line + b"\n" for line in lines))
            sys.stdout.buffer.flush()
        except OSError:
            pass  # a closed terminal stops nothing: the files have it all

    def _file(self, name: str) -> BinaryIO:
        path = self._folder / f"{name}.log"
        file = self._files.get(name)
        if file and file.tell() > KEEP_BYTES:
            file.close()
            path.replace(path.with_suffix(".log.1"))
            file = None
        if file is None:
            file = self._files[name] = path.open("ab", buffering=0)
        return file
