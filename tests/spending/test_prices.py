"""`deckhand prices`: what tokens cost, from when on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.commands.test_commands import deckhand, env_of
from tests.spending.conftest import SetPrice
from webapp.kernel.db import make_engine, make_sessions
from webapp.kernel.settings import Settings
from webapp.spending.queries import rates_at

DAY = timedelta(days=1)


def listed(settings: Settings) -> list[dict[str, Any]]:
    done = deckhand("prices", "list", "--json", env=env_of(settings))
    assert done.returncode == 0, done.stderr
    prices: list[dict[str, Any]] = json.loads(done.stdout)["prices"]
    return prices


def test_a_price_is_said_and_listed_in_dollars_for_a_million_tokens(
    settings: Settings, set_price: SetPrice
) -> None:
    said = set_price("small", "--cached", "0.0375", usd_in="0.15", usd_out="0.6")

    assert "0.15 in, 0.6 out, 0.0375 cached (USD for a million tokens)" in said
    (price,) = listed(settings)
    assert (price["model"], price["valid"]) == ("small", True)
    assert [Decimal(price[f"usd_{kind}"]) for kind in ("in", "out", "cached")] == [
        Decimal("0.15"),
        Decimal("0.6"),
        Decimal("0.0375"),
    ]


def test_the_price_of_a_moment_is_the_newest_one_that_had_begun_then(
    settings: Settings, set_price: SetPrice
) -> None:
    set_price("small", "--cached", "0.01", "--from", "2026-01-01", usd_in="1", usd_out="2")
    set_price("small", "--from", "2026-06-01T12:00:00", usd_in="3", usd_out="4")
    begins = datetime(2026, 6, 1, 12, tzinfo=UTC)

    engine = make_engine(settings.database_url)
    with make_sessions(engine)() as session:
        before = rates_at(session, "small", begins - timedelta(seconds=1))
        after = rates_at(session, "small", begins)
        long_ago = rates_at(session, "small", begins - 365 * DAY)
        other = rates_at(session, "large", begins)
    engine.dispose()

    assert before is not None
    assert after is not None
    assert (before.tokens_in, before.tokens_cached) == (1000, 10)
    # A new price is new as a whole: the old one of the cache does not live on.
    assert (after.tokens_in, after.tokens_out, after.tokens_cached) == (3000, 4000, 3000)
    assert long_ago is None
    assert other is None


def test_a_price_that_is_set_again_for_the_same_moment_takes_the_place_of_the_first(
    settings: Settings, set_price: SetPrice
) -> None:
    for usd in ("1", "2"):
        set_price("small", "--from", "2030-01-01", usd_in=usd, usd_out=usd)

    (price,) = listed(settings)
    assert Decimal(price["usd_in"]) == 2
    assert not price["valid"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--in", "-1", "--out", "1"), "Wrong: --in"),
        (("--in", "NaN", "--out", "1"), "Wrong: --in"),
        (("--in", "1", "--out", "9000000"), "Wrong: --out"),
        (("--in", "cheap", "--out", "1"), "is no amount"),
        (("--in", "1"), "Missing option '--out'"),
    ],
)
def test_what_is_no_price_is_refused_by_name(
    settings: Settings, wrong: tuple[str, ...], told: str
) -> None:
    done = deckhand("prices", "set", "small", *wrong, env=env_of(settings))

    assert done.returncode == 2
    assert told in done.stderr
    assert listed(settings) == []


def test_without_prices_the_list_says_how_to_set_one(settings: Settings) -> None:
    done = deckhand("prices", "list", env=env_of(settings))

    assert "No model has a price" in done.stdout
