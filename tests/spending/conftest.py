"""Runs that ask a model server, which writes down every call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.model import Model
from tests.commands.test_commands import deckhand, env_of
from tests.conftest import test_settings
from tests.runs.conftest import finish, make_live, runner, start
from webapp.kernel.settings import Settings

__all__ = ["finish", "make_live", "runner", "start"]

SetPrice = Callable[..., str]


def agent(step: str = "s_1", **common: Any) -> dict[str, Any]:
    inline = {"model": "default", "answer_tokens": 40}
    return {
        "id": step,
        "kind": "agent",
        "name": "Ask",
        "with": {"inline": inline, "message": "Is it late today?"},
        **common,
    }


COST_NANO = 4 * 150 + 40 * 600
"""Of one such step: 17 letters in, 40 tokens out."""


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.close()


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str, model: Model) -> Settings:
    return test_settings(tmp_path, database_url, REDIS_URL=redis_url, **model.env)


@pytest.fixture
def set_price(settings: Settings) -> SetPrice:
    """Return a function that calls `deckhand prices set`."""

    def call(name: str = "stub", *more: str, usd_in: str = "0.15", usd_out: str = "0.60") -> str:
        words = ("prices", "set", name, "--in", usd_in, "--out", usd_out, *more)
        done = deckhand(*words, env=env_of(settings))
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call
