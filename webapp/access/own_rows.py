"""Reads as text, for lists that every page shows: quick, and limited to one organization.

To build a statement anew and to fill rows of it as entities costs more than to run it. A text does
not pass the guard of `tenancy.py`, so it brings its limit itself and is not run without: each
table of organizations in it must be compared with `:org`, which nobody but the context fills in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from webapp.access.context import Context
from webapp.access.tenancy import UnscopedAccess, owned_tables
from webapp.kernel.rawsql import Sql, sql_for

_NAME: Final = re.compile(r"(?<![.:\w])(\w+)")
_ALIAS: Final = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)\s+(\w+)")


class OwnRows:
    """A SELECT over the rows of the context's organization, as text.

    Every table has an alias: `FROM run r WHERE r.organization_id = :org`.
    """

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._checked = False

    def __call__(self, ctx: Context, **values: Any) -> Sequence[Any]:
        """Return all rows. Ids and moments go in as they are and come out as the driver's."""
        if not self._checked:
            self.check()
        connection = ctx.session.connection()
        sql = sql_for(connection.dialect.name)
        given = {name: _bound(sql, value) for name, value in values.items()}
        given["org"] = sql.id(ctx.organization_id)
        return connection.exec_driver_sql(sql(self._statement), given).all()

    def check(self) -> None:
        """Raise `UnscopedAccess` if a table of organizations is not limited to this one."""
        owned = set(owned_tables())
        named = [name for name in _NAME.findall(self._statement) if name in owned]
        aliases = [(table, alias) for table, alias in _ALIAS.findall(self._statement)]
        of_owned = [alias for table, alias in aliases if table in owned]
        if len(of_owned) != len(named) or len(set(of_owned)) != len(of_owned):
            raise UnscopedAccess(f"each table needs an alias of its own: {self._statement}")
        for alias in of_owned:
            if not re.search(rf"\b{alias}\.organization_id = :org\b", self._statement):
                raise UnscopedAccess(f"{alias} is not limited: {self._statement}")
        self._checked = True


def _bound(sql: Sql, value: Any) -> Any:
    if isinstance(value, UUID):
        return sql.id(value)
    return sql.moment(value) if isinstance(value, datetime) else value
