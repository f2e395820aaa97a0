"""Tables as CSV that any spreadsheet opens."""

from __future__ import annotations

import csv
import io
from typing import Any

from webapp.kernel import jsons


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return a table as CSV that a spreadsheet opens without running formulas in it."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow([_plain(name) for name in names])
    for row in rows:
        writer.writerow([_plain(row.get(name)) for name in names])
    return "\ufeff" + target.getvalue()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int | float) or hasattr(value, "as_tuple"):
        return value
    text = value if isinstance(value, str) else jsons.dumps(value)
    # A cell that begins so would be run as a formula.
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
