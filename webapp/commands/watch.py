"""`make dev`: starts the parts again when their code changes, and builds changed page assets."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webapp.commands.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
EVERY_S = 1.0


class Watch:
    """Looks at modification times: few enough files that nothing cleverer is needed."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._looked = 0.0
        self._code = _newest("webapp", "jobs", ending=".py")
        self._pages = _newest("static/css", "static/js", "static/icons")

    def look(self) -> None:
        """Act on what changed since the last look."""
        now = time.monotonic()
        if now - self._looked < EVERY_S:
            return
        self._looked = now
        pages = _newest("static/css", "static/js", "static/icons")
        code = _newest("webapp", "jobs", ending=".py")
        if pages != self._pages:
            self._supervisor.logs.say("page assets changed: building")
            subprocess.run(["node", "static/build.mjs", "--no-vendor"], cwd=ROOT, check=False)
        if (code, pages) != (self._code, self._pages):
            self._code, self._pages = code, pages
            names = {child.spec.name for child in self._supervisor.children} - {"valkey"}
            self._supervisor.restart(names)


def _newest(*folders: str, ending: str = "") -> float:
    files = (path for folder in folders for path in (ROOT / folder).rglob(f"*{ending}"))
    return max((path.stat().st_mtime for path in files if path.is_file()), default=0.0)
