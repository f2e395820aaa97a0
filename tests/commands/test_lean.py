"""What a process loads at its start is memory for as long as it lives, and time until it serves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "alembic",
    "mako",
    "requests",
    "valkey",
    "rich",
    "openai",
    "pydantic_ai",
    "charset_normalizer",
}
KEPT_OUT = {
    "webapp.wsgi": HEAVY,
    "jobs.worker": HEAVY | {"click", "flask", "flask_socketio"},
    "jobs.steward": HEAVY | {"click", "flask", "flask_socketio"},
    "webapp.commands.up": HEAVY
    | {"pydantic", "sqlalchemy", "flask", "redis", "hashlib", "asyncio"},
    "webapp.commands.serving": HEAVY | {"click", "flask", "sqlalchemy", "pydantic"},
    "webapp.commands.preflight": HEAVY | {"click", "flask", "sqlalchemy", "redis"},
}


@pytest.mark.parametrize("module", KEPT_OUT)
def test_a_process_loads_only_what_it_needs(module: str, tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        env={
            "PATH": os.environ["PATH"],
            "DATA": str(tmp_path),
            "DECKHAND_LISTENER_FD": "3",
            "WEB_THREADS": "64",
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(told.stdout.split()) & KEPT_OUT[module] == set()
