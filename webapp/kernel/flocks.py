"""`flock` with an end: Python's own waits for ever, since it goes on after every signal (PEP 475).

A free lock is taken at once. Otherwise the thread waits in the kernel, which hands a lock on within
microseconds, and a watch that lives only while somebody waits wakes it by a signal when its time
is over. What was tried instead: docs/decisions/0008-bounded-turnstile.md.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import threading
import time
from typing import Final

_LOOK_S: Final = 0.5
_flock: Final = ctypes.CDLL(None, use_errno=True).flock
_waits: Final[dict[int, float]] = {}
"""Threads that wait, with the end of their patience."""

_guard: Final = threading.Lock()
_watched = False


def make_waits_end() -> None:
    """Let the waits of this process be bounded; only its main thread can say so.

    SIGURG, since it does nothing to a process that never said so.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGURG) in (signal.SIG_DFL, signal.SIG_IGN):
        signal.signal(signal.SIGURG, lambda _number, _frame: None)


def lock(file: int, until: float) -> None:
    """Take the lock of an open file.

    Raises:
        TimeoutError: it was not free before `until`, a moment of `time.monotonic`.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _wait(file, until)


def _wait(file: int, until: float) -> None:
    me = threading.get_ident()
    with _guard:
        _waits[me] = until
        _begin_watch()
    try:
        while _flock(file, fcntl.LOCK_EX):
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code))
            if time.monotonic() >= until:
                raise TimeoutError
    finally:
        with _guard:
            del _waits[me]


def _begin_watch() -> None:
    global _watched
    if not _watched:
        _watched = True
        threading.Thread(target=_watch, name="flocks", daemon=True).start()


def _watch() -> None:
    global _watched
    while True:
        time.sleep(_LOOK_S)
        with _guard:  # nobody who is in the list can end meanwhile
            if not _waits:
                _watched = False
                return
            for thread, until in _waits.items():
                if time.monotonic() >= until:
                    signal.pthread_kill(thread, signal.SIGURG)
