"""The doors of these pages, and the addresses they lead to."""

from __future__ import annotations

from webapp.kernel.ids import public_id
from webapp.runs.queries import RunRow
from webapp.web.doors import Doors, here
from webapp.web.identities import visitor

doors = Doors("runs", __name__)


def list_url() -> str:
    return f"{org_url()}/runs"


def org_url() -> str:
    return f"/o/{here().slug}"


def run_url(row: RunRow) -> str:
    return f"{list_url()}/{public_id('run', row.run.id)}"


def whole_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def zone() -> str:
    person = visitor()
    return person.zone if person is not None else "UTC"
