"""Places at which a test may kill the process, one at every durable boundary.

`CRASH_AT=name#nth` with `APP_ENV=testing` makes the process kill itself (SIGKILL, nothing is
flushed or cleaned up) the nth time it passes `name`, counted over all its threads since the
process began: one that is started again with the same variable counts from one again. Otherwise
`crashpoint` does nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

HERE: Final = frozenset(
    {
        "web.before_tx",
        "web.in_idempotency_insert",
        "web.after_insert_before_commit",
        "web.after_commit_before_response",
        "web.after_approve_commit",
        "relay.after_claim",
        "relay.after_push_before_mark",
        "worker.after_dequeue",
        "worker.after_lease",
        "worker.before_intent",
        "worker.after_intent_before_effect",
        "worker.during_effect",
        "worker.after_effect_before_record",
        "worker.in_llm_stream",
        "worker.after_llm_before_record",
        "worker.in_budget_settle",
        "worker.in_heartbeat",
        "worker.in_cancel",
        "worker.after_record_before_next",
        "worker.before_terminal",
        "worker.after_terminal_before_ack",
    }
)
LATER: Final = {
    "worker.in_tool_subprocess": "03",
    "web.webhook_in_after_verify_before_commit": "07",
    "sched.after_due_before_insert": "07",
    "sched.after_insert_before_advance": "07",
    "hook.after_claim": "07",
    "hook.after_send_before_record": "07",
}
"""Names of places that are not built yet, with the issue that builds them and moves them up."""

NAMES: Final = HERE | LATER.keys()


class _Trap:
    def __init__(self) -> None:
        self.name, self.nth = "", 0
        if os.environ.get("APP_ENV") == "testing":
            self.name, _, nth = os.environ.get("CRASH_AT", "").partition("#")
            self.nth = int(nth) if nth.isdecimal() else 1  # the settings refuse other words
        self.seen = 0
        self.lock = threading.Lock()


_trap = _Trap()


def crashpoint(name: str) -> None:
    """Die here if `CRASH_AT` says so."""
    if name != _trap.name:
        return
    with _trap.lock:
        _trap.seen += 1
        if _trap.seen == _trap.nth:
            os.kill(os.getpid(), signal.SIGKILL)
