"""Being refused again and again fills no disk, and nothing of it is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from tests.fixtures import Browser, House, SignedIn, context
from webapp.access.permissions import Role
from webapp.audit import denials
from webapp.audit.models import AuditEntry
from webapp.audit.service import verify
from webapp.kernel.settings import Settings
from webapp.web.database import brief_reading

Entries = list[tuple[str, dict[str, Any] | None]]


def entries(app: Flask, house: House, settings: Settings) -> Entries:
    """Return who was refused what, oldest first, from a chain that holds."""
    with app.app_context(), brief_reading() as session:
        ctx = context(session, house, settings)
        assert verify(ctx).ok
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.seq))
        return [(row.actor.split()[-1], row.after) for row in rows if row.action == "denied"]


def test_the_same_refusal_is_written_once_a_minute_with_how_many_there_were(
    app: Flask, viewer: Browser, acme: House, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        assert viewer.submit("/o/acme/workflows").status_code == 403
    assert [after for _, after in entries(app, acme, settings)] == [{"code": "E-ROLE"}]

    monkeypatch.setattr(denials, "EVERY_S", 0.0)  # the minute is over
    viewer.submit("/o/acme/workflows")

    assert [after for _, after in entries(app, acme, settings)][1:] == [
        {"code": "E-ROLE", "unwritten_before": 3}
    ]


def test_another_person_and_another_permission_are_written_at_once(
    app: Flask,
    viewer: Browser,
    acme: House,
    other: House,
    signed_in: SignedIn,
    settings: Settings,
) -> None:
    elsewhere = signed_in(other, Role.VIEWER)
    for browser, slug in ((viewer, "acme"), (elsewhere, "other")):
        for door in ("workflows", "runs/run_00000000000000000000000000/cancel"):
            assert browser.submit(f"/o/{slug}/{door}").status_code == 403

    assert len(entries(app, acme, settings)) == 2
    assert len(entries(app, other, settings)) == 2


def test_what_is_remembered_for_it_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "_MOST_KINDS", 3)
    refusals = denials.Refusals()

    assert [refusals.since_written(kind) for kind in range(9)] == [0] * 9

    assert len(refusals._written) == 3
