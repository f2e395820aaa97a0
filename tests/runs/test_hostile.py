"""What people type and other systems answer must not break the page for others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures import Browser
from tests.workflows.plans import plan_of, text

ANYTHING = plan_of(
    text("s_1", [{"text": "It is "}, {"value": ["start", "x"]}]),
    inputs=[{"name": "x", "label": "X", "type": "any", "required": True}],
    result=[{"name": "x", "label": "X", "type": "any", "value": [{"value": ["start", "x"]}]}],
)


@pytest.mark.parametrize(
    "typed",
    [
        "[1e999999999]",
        '{"a": -1E-999999999}',
        "[" * 900 + "]" * 900,
        "[" * 100_000,
        r'["\ud800"]',
        r'["\u0000"]',
        "[NaN]",
        "[" + "9" * 5000 + "]",
    ],
    ids=["huge", "tiny", "deep", "deeper", "half", "nul", "nan", "long"],
)
def test_whatever_is_typed_as_json_the_run_and_its_page_work(
    owner: Browser, make_live: Any, finish: Any, typed: str
) -> None:
    form = f"/o/acme/workflows/{make_live(ANYTHING)}/run"
    owner.get(form)

    fields: dict[str, Any] = {"q-x": typed, "once": "o" * 24}
    started = owner.submit(form, **fields)
    assert started.status_code == 303
    finish(started.headers["Location"].rpartition("/")[2])

    assert owner.get(started.headers["Location"]).status_code == 200
    assert owner.get(f"{form}?from={started.headers['Location'][-30:]}").status_code == 200
