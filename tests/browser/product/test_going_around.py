"""Going through the product by its links: nothing foreign, nothing broken, nothing heavy."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.product import plans
from tests.browser.product.people import Account, Listener

pytestmark = pytest.mark.browser

KIB = 1024
MOST_REQUESTS = 6
# UX.md 13.3, in KiB: HTML, everything cold, and requests cold.
BUDGETS = {
    "sign-in": (4, 56, 4),
    "workflows": (12, 64, 4),
    "builder": (14, 93, 6),
    "run": (12, 82, 5),
    "runs": (11, 81, 5),
    "settings": (10, 62, 4),
    "run-form": (10, 62, 4),
}


def kind_of(address: str) -> str:
    """Write an address without what differs from thing to thing."""
    return re.sub(r"(wf|run|file)_[0-9a-z]{26}|[a-z]+=[^&]*|s_\d+", "*", address)


def links(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all("a[href]", "(all) => all.map((a) => a.href)")
    return [address.partition("#")[0] for address in found]


def test_no_link_leads_nowhere_and_no_page_loads_anything_foreign(
    owner: Page, heard: Listener, account: Account
) -> None:
    account.make_workflow("One of each kind", plans.one_of_each(), live=False)
    account.start(account.make_workflow("Long wait", plans.plan(plans.wait("s_1", 900))))
    host = account.house.url
    to_see, seen, broken = [f"{host}{account.home}/workflows"], set[str](), []
    while to_see:
        address = to_see.pop()
        if kind_of(address) in seen or not address.startswith(host):
            continue
        seen.add(kind_of(address))
        answer = owner.request.get(address)
        if answer.status >= 400:
            broken.append(f"{answer.status} {address}")
        elif "text/html" in answer.headers["content-type"] and "/docs" not in address:
            owner.goto(address)
            to_see += links(owner)
    assert broken == []
    assert len(seen) > 12
    foreign = [one.url for one in heard.requests if not one.url.startswith((host, "data:"))]
    assert foreign == []
    assert heard.complaints == []


@pytest.mark.parametrize("name", BUDGETS)
def test_a_page_is_light(name: str, account: Account, enter: Callable[..., Page]) -> None:
    ten = plans.plan(*[plans.text(f"s_{n}", "Hello.", f"Text {n}") for n in range(1, 11)])
    workflow = f"{account.home}/workflows"
    if name in {"builder", "settings", "run-form"}:
        workflow += f"/{account.make_workflow(f'Ten for {name}', ten)}"
    address = {
        "sign-in": "/signin",
        "run": f"{account.home}/runs/{account.example_run}?step=s_1",
        "runs": f"{account.home}/runs",
        "settings": f"{workflow}/settings",
        "run-form": f"{workflow}/run",
    }.get(name, workflow)
    page = enter(signed_in=name != "sign-in")
    heard = Listener(page)
    page.goto(address, wait_until="networkidle")

    html = len(gzip.compress(page.request.get(address).body(), 6))
    answers = [answer for answer in heard.answers if "part=live" not in answer.url]
    loaded = {answer.url: answer.request.sizes()["responseBodySize"] for answer in answers}
    most_html, most, most_requests = BUDGETS[name]
    assert html <= most_html * KIB
    assert sum(loaded.values()) <= most * KIB, loaded
    assert len(loaded) <= most_requests + 1, sorted(loaded)  # and the picture of the tab, once
    assert len(loaded) <= MOST_REQUESTS
    compressed = [a.url for a in answers if "content-encoding" not in a.headers]
    assert [url for url in compressed if not url.endswith((".png", ".woff2"))] == []
