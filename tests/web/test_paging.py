"""Pages of a list: bounded, and only with cursors that a list gave out."""

from __future__ import annotations

from uuid import UUID

import pytest
from flask import Flask

from webapp.kernel.errors import BadRequest, Invalid
from webapp.kernel.ids import new_id, public_id
from webapp.web.paging import Asked, asked


def test_the_row_too_many_becomes_the_cursor_of_the_next_page(app: Flask) -> None:
    rows = [new_id() for _ in range(5)]

    with app.test_request_context("/o/acme/workflows?limit=2&state=live&part=list"):
        first = asked("wf").page(rows[:3], "wf", lambda row: row)
        assert first.next_url() == (
            f"/o/acme/workflows?limit=2&state=live&after={public_id('wf', rows[1])}"
        )
    with app.test_request_context(f"/?limit=2&after={first.next}"):
        wanted = asked("wf")

    assert first.items == rows[:2]
    assert wanted == Asked(2, rows[1])


def test_the_last_page_has_no_cursor() -> None:
    page = Asked(2, None).page([UUID(int=1), UUID(int=2)], "wf", lambda row: row)

    assert page.next is None
    assert page.json(str)["next"] is None


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1e3", "99999999999", "²"])
def test_a_limit_outside_of_1_to_200_is_refused(app: Flask, limit: str) -> None:
    with app.test_request_context("/", query_string={"limit": limit}), pytest.raises(Invalid):
        asked("wf")


@pytest.mark.parametrize(
    "cursor", ["x", "wf_", "wf_1", "run_01k3000000000000000000000", "wf_" + "z" * 26, "1' OR 1=1"]
)
def test_a_cursor_that_no_list_gave_out_is_refused(app: Flask, cursor: str) -> None:
    with app.test_request_context("/", query_string={"after": cursor}), pytest.raises(BadRequest):
        asked("wf")
