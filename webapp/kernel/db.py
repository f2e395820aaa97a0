"""The database: one declarative base, three column types, one way to make an engine.

SQLite serves one machine, PostgreSQL more than one. `reading` and `writing` say what the
transactions that begin inside them may do.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import (
    URL,
    BigInteger,
    Dialect,
    Engine,
    LargeBinary,
    MetaData,
    Text,
    create_engine,
    make_url,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator, TypeEngine

from webapp.kernel import jsons
from webapp.kernel.sqlite import TurnstileBusy, is_reading, reading, writing

__all__ = [
    "Base",
    "Id",
    "Json",
    "Sessions",
    "UtcDateTime",
    "database_url",
    "is_away",
    "is_reading",
    "make_engine",
    "make_sessions",
    "reading",
    "writing",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Base(DeclarativeBase):
    """The base of every table. Names of constraints are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_ix",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )


class Id(TypeDecorator[UUID]):
    """A UUID: `uuid` on PostgreSQL, 16 bytes on SQLite, where bytes sort as UUIDv7 does."""

    impl = LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.UUID(as_uuid=True))
        return dialect.type_descriptor(LargeBinary(16))

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else value.bytes

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:
        return value if value is None or isinstance(value, UUID) else UUID(bytes=bytes(value))


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC with its zone: `timestamptz` on PostgreSQL, microseconds on SQLite."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value if dialect.name == "postgresql" else to_micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else from_micros(value)


class Json(TypeDecorator[Any]):
    """A JSON value with exact decimals: `jsonb` on PostgreSQL, text on SQLite. None is NULL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.JSONB(none_as_null=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return jsons.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return (
            jsons.loads(value)
            if isinstance(value, str) and dialect.name != "postgresql"
            else (value)
        )


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970 in UTC, as SQLite rows keep a moment."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """Return the moment that `to_micros` stored."""
    return _EPOCH + timedelta(microseconds=value)


def database_url(url: str) -> str:
    """Return the URL with the driver we use: psycopg 3, or SQLite behind the turnstile."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite+deckhand").render_as_string(hide_password=False)
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


# A server that vanishes without a word is noticed within 20 s, not after a quarter of an hour.
_CONNECTING: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


# A process that is stopped in the middle of a transaction would hold its rows for as long as it is.
_STOOD_STILL: Final = "25P03"
_IDLE: Final = "-c idle_in_transaction_session_timeout=10000"


def engine_options(url: str) -> dict[str, Any]:
    """Return the keyword arguments of `create_engine` for `database_url(url)`."""
    options: dict[str, Any] = {"pool_size": 16, "max_overflow": 16, "pool_timeout": 10}
    if make_url(url).get_backend_name() != "sqlite":
        options |= {
            "pool_pre_ping": True,
            "json_serializer": jsons.dumps,
            "json_deserializer": jsons.loads,
            "connect_args": _CONNECTING | {"options": _with_idle(make_url(url))},
        }
    return options


def _with_idle(url: URL) -> str:
    """Return the options of a session; those that the address has of its own win."""
    given = url.query.get("options", ())
    return " ".join([_IDLE, *([given] if isinstance(given, str) else given)])


def make_engine(url: str, **options: Any) -> Engine:
    """Return an engine for `url`; nothing is opened yet."""
    return create_engine(database_url(url), **(engine_options(url) | options))


def is_away(error: BaseException) -> bool:
    """Whether the failure means "not now": the database is gone, full, locked or starting.

    Takes SQLAlchemy's errors and the drivers' own, which the hot path meets.
    """
    if isinstance(error, TurnstileBusy | PoolTimeout):
        return True
    cause: BaseException | None = error
    if getattr(getattr(error, "orig", error), "sqlstate", None) == _STOOD_STILL:
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        cause = error.orig
    names = {kind.__name__ for kind in type(cause).__mro__}
    if not names & {"OperationalError", "InterfaceError"}:
        return False
    if type(cause).__module__ == "sqlite3":
        text = str(cause)
        return any(word in text for word in ("locked", "busy", "full", "I/O", "unable to open"))
    state = getattr(cause, "sqlstate", None)
    if state is None:  # the server has said nothing: it cannot be reached, or has gone
        return "PipelineAborted" not in names
    # Connection, rollback, resources, operator intervention, system
    return str(state)[:2] in {"08", "40", "53", "55", "57", "58"}


Sessions: TypeAlias = sessionmaker[Session]


def make_sessions(engine: Engine) -> Sessions:
    """Return a maker of sessions for work outside of web requests; rows stay readable after."""
    return sessionmaker(engine, expire_on_commit=False)
