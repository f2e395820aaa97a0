"""Starts the parts of a Deckhand in no time: a process that has imported them all, and forks.

Each line on standard input is an order, `{"argv": ["jobs.worker"], "env": {...}, "log": "..."}`; the
answer is the pid. What a fork then does is what `python -m` would, in a session of its own. All
die with the forge, and are buried by it.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import runpy
import selectors
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from tests.services import die_with_parent
from webapp.kernel import clock, crashpoints

PRELOADED = (
    "gunicorn.app.wsgiapp",
    "rq",
    "webapp.app",
    "webapp.engine.providers.offline",
    "webapp.runs.execution.runner",
    "jobs.base",
    "jobs.deliveries",
    "jobs.housekeeping",
    "jobs.runs",
    "jobs.sweeping",
)
LOOK_S = 0.02


def main() -> None:
    """Take orders until standard input is closed."""
    for name in PRELOADED:
        importlib.import_module(name)
    orders = os.fdopen(0, "rb", buffering=0)
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        if selector.select(LOOK_S):
            line = orders.readline()
            if not line:
                return
            print(_fork(json.loads(line)), flush=True)
        _bury()


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        _become(order)
    return pid


def _become(order: dict[str, Any]) -> None:
    """Be the module that was ordered, to the end of the process."""
    code: Any = 1
    try:
        os.setsid()
        die_with_parent()
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(ours, theirs)
        os.environ.clear()
        os.environ.update(order["env"])
        random.seed()
        if "CLOCK_SHIFT_FILE" in os.environ:
            _shift_clock(os.environ["CLOCK_SHIFT_FILE"])
        crashpoints._trap = crashpoints._Trap()  # it was made for the forge's own environment
        sys.argv = order["argv"]
        runpy.run_module(order["argv"][0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0)


def _shift_clock(path: str) -> None:
    """Let the wall clock of this process be wrong by the seconds that stand in a file."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=float(Path(path).read_text()))

    clock.datetime = Wrong  # type: ignore[misc]


def _bury() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main()
