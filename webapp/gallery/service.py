"""Bring a bundled example into an organization and run it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.files.service import keep_file
from webapp.runs.models import Run
from webapp.runs.service import find_run_by_key
from webapp.runs.starting import start_run
from webapp.workflows.publishing import put_live
from webapp.workflows.schemas import NewWorkflow, PutLive
from webapp.workflows.service import create_workflow

_EXAMPLES: Final = Path(__file__).parent / "examples"
EXAMPLE_NAME: Final = "Overdue invoices"
EXAMPLE_ABOUT: Final = (
    "Reads a list of invoices, rejects rows it cannot read, and writes one reminder for each "
    "customer who owes something."
)
EXAMPLE_KEY: Final = "example:overdue-invoices:1"
"""The example of a new machine runs under this key, so that it runs once whatever happens."""


@requires(Permission.EDIT_WORKFLOWS)
def install_example(ctx: Context) -> UUID:
    """Copy "Overdue invoices" with its file into the organization, live; returns its id."""
    content = (_EXAMPLES / "overdue_invoices.csv").read_bytes()
    file = keep_file(ctx, "overdue_invoices.csv", "text/csv", content)
    plan = _plan("overdue_invoices")
    plan["inputs"][0]["default"] = file.id
    made = create_workflow(ctx, NewWorkflow(name=EXAMPLE_NAME, about=EXAMPLE_ABOUT, plan=plan))
    put_live(ctx, made.workflow.id, PutLive(note="The example as it comes with Deckhand"))
    return made.workflow.id


@requires(Permission.START_RUNS)
def run_example_once(ctx: Context) -> Run:
    """Install the example and start it, unless this organization's was started before."""
    known = find_run_by_key(ctx, EXAMPLE_KEY)
    if known is not None:
        return known
    return start_run(ctx, install_example(ctx), {}, key=EXAMPLE_KEY)


def _plan(name: str) -> dict[str, Any]:
    text = (_EXAMPLES / f"{name}.json").read_text(encoding="utf-8")
    plan: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return plan
