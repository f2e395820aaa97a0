"""Statements as text for the few places where building them anew costs more than running them.

`:name` becomes the driver's own mark; ids, moments and JSON are turned into what the column holds
by `Sql`, which is made for one dialect. Everything else uses SQLAlchemy's own expressions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from webapp.kernel import jsons
from webapp.kernel.db import from_micros, to_micros

_MARK: Final = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")

WORDS: Final[dict[str, Mapping[str, str]]] = {
    "postgresql": {
        "now": "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        "greatest": "greatest",
        "skip_locked": "FOR UPDATE SKIP LOCKED",
        "locked": "FOR UPDATE",
        "lost": "lease_until < (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        "due": "due_at <= (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    },
    # Boot-clock times compare only within one boot: after a reboot all are over.
    "sqlite": {
        "now": "now_ms()",
        "greatest": "max",
        "skip_locked": "",
        "locked": "",
        "lost": "(lease_until < now_ms() OR boot <> :boot)",
        "due": "due_at <= now_ms() OR (due_at IS NOT NULL AND boot <> :boot)",
    },
}
"""What `{word}` in a statement stands for; `now` is the lease clock, in milliseconds."""


class Sql:
    """What differs between the databases: marks, the lease clock, and how values are kept."""

    def __init__(self, dialect: str) -> None:
        self.postgresql = dialect == "postgresql"
        self._words = WORDS[dialect]
        self._texts: dict[str, str] = {}

    def __call__(self, statement: str) -> str:
        """Return the driver's text of a statement."""
        known = self._texts.get(statement)
        if known is None:
            known = statement.format(**self._words)
            if self.postgresql:
                known = _MARK.sub(r"%(\1)s", known)
            self._texts[statement] = known
        return known

    def id(self, value: UUID | None) -> Any:
        return value if value is None or self.postgresql else value.bytes

    def read_id(self, value: Any) -> UUID:
        return value if self.postgresql else UUID(bytes=value)

    def moment(self, value: datetime | None) -> Any:
        return value if value is None or self.postgresql else to_micros(value)

    def read_moment(self, value: Any) -> datetime | None:
        return value if value is None or self.postgresql else from_micros(value)

    def json(self, value: Any) -> str | None:
        return None if value is None else jsons.dumps(value)

    def read_json(self, value: Any) -> Any:
        return jsons.loads(value) if isinstance(value, str) and not self.postgresql else value


@cache
def sql_for(dialect: str) -> Sql:
    return Sql(dialect)
