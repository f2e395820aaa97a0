"""Every durable boundary has a name, every name has a place, and only tests can die there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import jobs
import webapp
from webapp.kernel.crashpoints import NAMES

SOURCES = [
    *(p for p in Path(webapp.__file__).parent.rglob("*.py") if p.name != "crashpoints.py"),
    *Path(jobs.__file__).parent.rglob("*.py"),
]
NAMED = re.compile(r"""["']((?:web|worker|relay)\.[a-z]+_[a-z_]+)["']""")


def test_every_name_stands_at_a_place_and_every_place_has_a_listed_name() -> None:
    used = {name for path in SOURCES for name in NAMED.findall(path.read_text())}

    assert used == NAMES


@pytest.mark.parametrize(
    ("profile", "crash_at", "ended"),
    [
        ("testing", "worker.after_lease#2", -signal.SIGKILL),
        ("testing", "worker.after_lease#3", 0),
        ("testing", "worker.before_intent", 0),
        ("production", "worker.after_lease#1", 0),
        ("development", "worker.after_lease#1", 0),
    ],
)
def test_a_process_dies_at_the_nth_passing_and_only_in_tests(
    profile: str, crash_at: str, ended: int
) -> None:
    code = (
        "from webapp.kernel.crashpoints import crashpoint as c;"
        "c('worker.after_lease'); c('worker.after_lease')"
    )
    env = {**os.environ, "APP_ENV": profile, "CRASH_AT": crash_at}

    assert subprocess.call([sys.executable, "-c", code], env=env) == ended
