"""A program, and a worker in this process that works on what the program starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures import HeardBell
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.runner import make_runner


@pytest.fixture
def bell(settings: Settings) -> Iterator[HeardBell]:
    runner = make_runner(settings, RedisBell(settings.redis_url), lambda: None)
    runner.start()
    made = HeardBell()
    made.on_ring = runner.wake
    yield made
    runner.drain(5.0)
