"""A run that waits for a service to recover says so in the width of a phone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.product import plans
from tests.browser.product.people import Account
from tests.browser.product.silent import Silent

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    return {"OUTBOUND_ALLOW": "127.0.0.1/32:9000-9999", "BREAKER_OPEN_S": "600"}


@pytest.fixture(scope="module")
def waiting(account: Account) -> Iterator[str]:
    """A run that waits for a service that hung up five times."""
    silent = Silent()
    ask = {"method": "GET", "url": silent.url}
    step = {"id": "s_1", "kind": "http", "name": "Ask", "retry": {"times": 0}, "with": ask}
    workflow = account.make_workflow("Orders", plans.plan(step))
    for number in range(6):
        run = _settled(account, workflow, f"k{number}")
    yield f"{account.home}/runs/{run}"
    silent.close()


def _settled(account: Account, workflow: str, key: str) -> str:
    call, path = account.house.until, f"/api/v1/workflows/{workflow}/run"
    run = str(call("POST", path, {"inputs": {}}, Idempotency_Key=key)["id"])
    end = time.monotonic() + 20
    while call("GET", f"/api/v1/runs/{run}")["state"] not in {"failed", "waiting"}:
        assert time.monotonic() < end
        time.sleep(0.05)
    return run


@pytest.mark.parametrize("width", [320, 1280])
def test_it_says_for_whom_and_until_when(
    waiting: str, enter: Callable[..., Page], width: int
) -> None:
    page = enter(viewport={"width": width, "height": 800})

    page.goto(waiting)

    said = page.locator("#run-head .status")
    expect(said).to_contain_text("Waiting for 127.0.0.1:9")
    expect(said).to_contain_text("to recover (until ")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_page_of_services_names_it(waiting: str, enter: Callable[..., Page]) -> None:
    page = enter(viewport={"width": 320, "height": 800})

    page.goto("/admin/services")

    expect(page.get_by_role("rowheader")).to_contain_text("127.0.0.1:9")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
