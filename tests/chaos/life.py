"""A process by a handle of its own, since its number may come back as somebody else's."""

from __future__ import annotations

import os
import select


class Life:
    """Whether a process has ended. `/proc/PID` can't tell: numbers begin again after `pid_max`.

    Threads have numbers from the same row, and their folder in /proc can be opened, too: on a busy
    machine a part that had just died seemed to live on for as long as the thread that got its number.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = -1
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended already
            return
        self._poll = select.poll()
        self._poll.register(self._handle, select.POLLIN)

    def is_over(self, within_s: float = 0.0) -> bool:
        """Whether it has ended, or does so within so many seconds."""
        return self._handle < 0 or bool(self._poll.poll(within_s * 1000))

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
