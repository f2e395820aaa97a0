"""Run the bundled example on a new machine and show in the terminal what it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from webapp.access.context import Actor, Context
from webapp.access.permissions import Role
from webapp.commands.unit import unit
from webapp.gallery.service import EXAMPLE_NAME, run_example_once
from webapp.kernel.clock import now
from webapp.kernel.ids import public_id
from webapp.kernel.settings import Settings
from webapp.runs.service import Progress, progress_of

PATIENCE_S = 60.0
_ROWS = 8

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Example:
    """The run of the example."""

    organization_id: UUID
    run_id: UUID
    fresh: bool

    @property
    def public(self) -> str:
        return public_id("run", self.run_id)


def begin(settings: Settings, session: Session, organization_id: UUID) -> Example:
    """Start the example in the caller's transaction, or find the run of an earlier start."""
    ctx = _context(settings, session, organization_id)
    run = run_example_once(ctx)
    fresh = run.state == "queued" and (now() - run.queued_at).total_seconds() < PATIENCE_S
    return Example(organization_id, run.id, fresh)


def follow(settings: Settings, example: Example, say: Say) -> None:
    """Say each step as it ends, then the result; gives up watching after a minute."""
    say(f"Running the example “{EXAMPLE_NAME}” on the invoices that come with Deckhand …")
    told: set[str] = set()
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with unit(settings) as session:
            ctx = _context(settings, session, example.organization_id)
            progress = progress_of(ctx, example.run_id)
        for line in progress.steps:
            if line.is_over and line.path not in told:
                told.add(line.path)
                say(f"  {'✔' if line.is_well else '✖'} {line.name:<28} {_seconds(line.took_ms)}")
        if progress.is_over:
            _say_result(progress, say)
            return
        time.sleep(0.15)  # the pace of looking
    say("  It is still running. Its page shows how far it is.")


def _say_result(progress: Progress, say: Say) -> None:
    say(f"  {progress.word} in {_seconds(progress.took_ms)}\n")
    result = progress.result or {}
    if summary := result.get("summary"):
        say(f"  {summary}\n")
    totals: list[dict[str, Any]] = result.get("totals") or []
    if totals:
        say(f"  {'Customer':<28} {'Invoices':>8} {'Overdue':>14}")
        for row in totals[:_ROWS]:
            say(f"  {row['customer'][:28]:<28} {row['count']:>8} {row['total']:>14,.2f}")
        if len(totals) > _ROWS:
            say(f"  … and {len(totals) - _ROWS} more")
    rejected: list[dict[str, Any]] = result.get("rejected") or []
    if rejected:
        say(f"\n  {len(rejected)} rows were rejected, for example:")
        for row in rejected[:3]:
            say(f"  line {row['line']}: {row['reason']}")


def _seconds(took_ms: int | None) -> str:
    return "" if took_ms is None else f"{took_ms / 1000:.2f} s"


def _context(settings: Settings, session: Session, organization_id: UUID) -> Context:
    actor = Actor("system", None, "set-up", Role.OWNER)
    return Context(session, organization_id, actor, settings)
