"""Row D17 of SECURITY.md 3.1: the schema survives a migration that dies, and two at once."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.places import Place
from tests.conftest import KEYS

ROOT = Path(__file__).parents[2]
UPGRADE = [sys.executable, "-m", "webapp.commands", "db", "upgrade"]


def killed(place: Place, times: int) -> dict[str, Any]:
    """SIGKILL `deckhand db upgrade` while it writes, then let two finish it at once."""
    assert not place.postgres, "a migration of PostgreSQL is one transaction"
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.sqlite3"
        began = time.monotonic()
        _upgrade(whole).wait()
        lasts_s = time.monotonic() - began
        wanted, broken, midway = _schema(whole), [], 0
        for number in range(times):
            path = Path(folder) / f"{number}.sqlite3"
            dying = _upgrade(path)
            while not path.exists():
                time.sleep(0.001)
            time.sleep(random.uniform(0, lasts_s / 4))
            dying.kill()
            dying.communicate()
            midway += 0 < len(_schema(path)) < len(wanted)
            two = [_upgrade(path), _upgrade(path)]
            said = [one.communicate()[1].decode() for one in two]
            if [one.returncode for one in two] != [0, 0]:
                broken.append(f"{number}: {[one[-200:] for one in said]}")
            elif _schema(path) != wanted:
                broken.append(f"{number}: another schema than usual")
    return {"kills": times, "found_half_done": midway, "broken": broken}


def _upgrade(path: Path) -> subprocess.Popen[bytes]:
    env = {**KEYS, "APP_ENV": "testing", "DATA": str(path.parent)}
    return subprocess.Popen(
        UPGRADE,
        cwd=ROOT,
        env={**env, "DATABASE_URL": f"sqlite:///{path}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _schema(path: Path) -> list[Any]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    connection.close()
    return rows
