"""The doors of these pages, and the addresses they lead to."""

from __future__ import annotations

from uuid import UUID

from webapp.kernel.ids import parse_id, public_id
from webapp.web.doors import Doors, here

doors = Doors("workflows", __name__)


def id_of(text: str) -> UUID:
    return parse_id("wf", text)


def url_of(workflow_id: UUID, tail: str = "") -> str:
    """Return the address of a workflow's page, "/live" behind it for instance."""
    return f"/o/{here().slug}/workflows/{public_id('wf', workflow_id)}{tail}"


def list_url(tail: str = "") -> str:
    return f"/o/{here().slug}/workflows{tail}"
