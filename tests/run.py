"""`make test`: the suite on SQLite and on PostgreSQL, side by side, on two cores.

The tests of engine, kernel and architecture, which know no database, those of chaos and supervisor,
which start everything anew, and those of the browser run once, beside the two. The browser's have
a process of their own, since Playwright leaves an event loop running.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests import services  # noqa: E402  found only after the line above

PACKAGES = {"PostgreSQL": "postgresql", "Chromium": "chromium"}
BROWSER = ("tests/browser",)
ENGINE = ("tests/engine", "tests/kernel", "tests/architecture")
PROCESSES = ("tests/chaos", "tests/supervisor")
ONCE = (*ENGINE, *PROCESSES)


@dataclass(frozen=True)
class Pass:
    """One pytest process: everything but `without`, or `only` some folders."""

    name: str
    database: str = "sqlite"
    needs: str = ""
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def arguments(self, picked: list[str]) -> list[str] | None:
        """Return pytest's arguments, or None when nothing of `picked` is in this pass."""
        paths = [path for path in picked if not path.startswith(self.without or ("-",))]
        if self.only:
            paths = [path for path in picked if path.startswith(self.only)]
        if picked and not paths:
            return None
        return [*(f"--ignore={path}" for path in self.without), *(paths or self.only)]


PASSES = (
    Pass("postgres", database="postgres", needs="PostgreSQL", without=(*BROWSER, *ONCE)),
    Pass("browser", needs="Chromium", only=BROWSER),
    Pass("sqlite", without=(*BROWSER, *ONCE)),
    Pass("processes", only=PROCESSES),
    Pass("engine", only=ENGINE),
)
"""The longest first."""
AT_ONCE = 3
"""Each waits half of its time: for timers, and for processes that start."""


def main(picked: list[str]) -> int:
    lacking = bring()
    if lacking:
        names = [one.name for one in PASSES if one.needs in lacking]
        packages = " ".join(PACKAGES[name] for name in lacking)
        print(f"Left out: {' and '.join(names)}. Install {packages} to run them.", flush=True)
        if os.environ.get("CI") == "true":
            return 1
    passes = [one for one in PASSES if one.needs not in lacking]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return max(pool.map(lambda one: run(one, picked), passes))


def bring() -> list[str]:
    """Install what is missing where we may; return what is missing still."""
    lacking = _lacking()
    if lacking and os.geteuid() == 0 and shutil.which("apt-get"):
        wanted = [PACKAGES[name] for name in lacking]
        print(f"Installing {' and '.join(wanted)} for the tests", flush=True)
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted]
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run(command, check=False, env=env, stdout=subprocess.DEVNULL)
        lacking = _lacking()
    return lacking


def _lacking() -> list[str]:
    found = {"PostgreSQL": services.postgres_binaries(), "Chromium": services.chromium()}
    return [name for name, path in found.items() if path is None]


def run(one: Pass, picked: list[str]) -> int:
    """Run one pass to its end, then print all it said at once."""
    arguments = one.arguments(picked)
    if arguments is None:
        return 0
    cache = f"cache_dir=.pytest_cache/{one.name}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--durations=5", "-o", cache, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DECKHAND_TEST_DB": one.database,
            "PYTEST_DEBUG_TEMPROOT": services.roomy_folder(),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    print(f"\n--- {one.name}\n{done.stdout}", flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
