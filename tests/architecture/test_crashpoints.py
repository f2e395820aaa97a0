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
from jobs import crashpoints as of_jobs
from webapp.kernel.crashpoints import HERE, LATER, NAMES

SOURCES = [
    *(p for p in Path(webapp.__file__).parent.rglob("*.py") if p.name != "crashpoints.py"),
    *Path(jobs.__file__).parent.rglob("*.py"),
]
NAMED = re.compile(r"""["']((?:web|worker|relay|sched|hook)\.[a-z]+_[a-z_]+)["']""")


ASKED_FOR = """
web.before_tx web.in_idempotency_insert web.after_insert_before_commit
web.after_commit_before_response web.after_approve_commit
web.webhook_in_after_verify_before_commit relay.after_claim relay.after_push_before_mark
sched.after_due_before_insert sched.after_insert_before_advance hook.after_claim
hook.after_send_before_record worker.after_dequeue worker.after_lease worker.before_intent
worker.after_intent_before_effect worker.during_effect worker.after_effect_before_record
worker.in_llm_stream worker.after_llm_before_record worker.in_budget_settle
worker.in_tool_subprocess worker.in_heartbeat worker.in_cancel worker.after_record_before_next
worker.before_terminal worker.after_terminal_before_ack
"""


def test_every_name_stands_at_a_place_and_every_place_has_a_listed_name() -> None:
    used = {name for path in SOURCES for name in NAMED.findall(path.read_text())}

    assert used == HERE


def test_all_names_are_listed_once_and_what_is_not_built_names_its_issue() -> None:
    assert NAMES == of_jobs.NAMES == set(ASKED_FOR.split())
    assert not HERE & LATER.keys()
    assert set(LATER.values()) <= {f"{issue:02}" for issue in range(3, 11)}


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
