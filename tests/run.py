"""`make test`: the suite on SQLite and on PostgreSQL, side by side, on two cores.

Browser tests run once, with SQLite; the engine's, which know no database, and the supervisor's,
which start everything anew, once with PostgreSQL, so that both passes take about as long.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests import services  # noqa: E402  found only after the line above

ONCE = {"sqlite": ["tests/browser"], "postgres": ["tests/engine", "tests/supervisor"]}
PACKAGES = {"PostgreSQL": "postgresql", "Chromium": "chromium"}


def main(picked: list[str]) -> int:
    lacking = bring()
    passes = [name for name in ONCE if not (name == "postgres" and "PostgreSQL" in lacking)]
    if lacking:
        left_out = {"PostgreSQL": "the PostgreSQL pass", "Chromium": "the browser tests"}
        what = " and ".join(left_out[name] for name in lacking)
        print(f"Left out: {what}. Install {' and '.join(PACKAGES[n] for n in lacking)} for these.")
        if os.environ.get("CI") == "true":
            return 1
    ignored = ["tests/browser"] if "Chromium" in lacking else []
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for name in passes:
            others = [key for key in passes if key != name]
            skipped = ignored + [path for key in others for path in ONCE[key]]
            paths = [p for p in picked if not any(p.startswith(path) for path in skipped)]
            if picked and not paths:
                continue
            output = Path(folder) / name
            running.append((name, output, start(name, paths, skipped, output)))
        return max([finish(*one) for one in running], default=0)


def bring() -> list[str]:
    """Install what is missing where we may; return what is missing still."""
    lacking = _lacking()
    if lacking and os.geteuid() == 0 and shutil.which("apt-get"):
        wanted = [PACKAGES[name] for name in lacking]
        print(f"Installing {' and '.join(wanted)} for the tests", flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=env, **quiet)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted]
        subprocess.run(install, check=False, env=env, **quiet)
        lacking = _lacking()
    return lacking


def _lacking() -> list[str]:
    found = {"PostgreSQL": services.postgres_binaries(), "Chromium": services.chromium()}
    return [name for name, path in found.items() if path is None]


def start(name: str, paths: list[str], skipped: list[str], output: Path) -> subprocess.Popen[bytes]:
    options = [f"--ignore={path}" for path in skipped] + ["-o", f"cache_dir=.pytest_cache/{name}"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "--durations=5", *options, *paths],
        cwd=ROOT,
        env={**os.environ, "DECKHAND_TEST_DB": name},
        stdout=output.open("wb"),
        stderr=subprocess.STDOUT,
    )


def finish(name: str, output: Path, process: subprocess.Popen[bytes]) -> int:
    code = process.wait()
    print(f"\n--- {name}\n{output.read_text(errors='replace')}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
