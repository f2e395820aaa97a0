"""A program, and a worker in this process that works on what the program starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures import HeardBell
from webapp.kernel.hints import Ring, Tell
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.runner import Runner, make_runner


class WorkingBell(HeardBell):
    """Wakes the worker when a run was started; it looks for work by itself too, only later."""

    def __init__(self, runner: Runner) -> None:
        super().__init__()
        self._runner = runner

    def send(self, hints: list[Ring | Tell]) -> None:
        if any(isinstance(hint, Ring) for hint in hints):
            self._runner.wake()


@pytest.fixture
def bell(settings: Settings) -> Iterator[HeardBell]:
    runner = make_runner(settings, RedisBell(settings.redis_url), lambda: None)
    runner.start()
    yield WorkingBell(runner)
    runner.drain(5.0)
