"""PostgreSQL, whichever database the pass is for: who stands still holds nothing."""

from __future__ import annotations

import time

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from tests import services
from webapp.kernel.db import is_away, make_engine

BRIEF = "?options=-c%20idle_in_transaction_session_timeout%3D100&host="


def test_a_session_that_stands_still_in_a_transaction_loses_it_and_that_is_not_a_bug(
    postgres: services.Postgres,
) -> None:
    engine = make_engine(postgres.create().replace("?host=", BRIEF))

    with pytest.raises((DBAPIError, psycopg.Error)) as by_hand:
        stand_still_by_hand(engine)
    with pytest.raises((DBAPIError, psycopg.Error)) as told:
        stand_still(engine)
    engine.dispose()

    assert is_away(told.value)
    assert is_away(by_hand.value)


def stand_still(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
        time.sleep(0.4)  # the server doesn't wait so long
        connection.execute(text("SELECT 1"))


def stand_still_by_hand(engine: Engine) -> None:
    """Use the driver itself, as the journal does."""
    with engine.begin() as connection:
        cursor = connection.connection.cursor()
        cursor.execute("SELECT 1")
        time.sleep(0.4)
        cursor.execute("SELECT 1")


def test_nobody_may_stand_still_for_longer_than_ten_seconds(postgres: services.Postgres) -> None:
    engine = make_engine(postgres.create())
    with engine.connect() as connection:
        said = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar()
    engine.dispose()

    assert said == "10s"
