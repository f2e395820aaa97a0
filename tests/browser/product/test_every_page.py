"""Every page holds WCAG 2.2 AA in both themes, on a phone and on a desk, and fits in there.

The pages come from the map of routes: a new route without an example address fails.
Each page's picture is kept in build/screenshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.looking import look
from tests.browser.product import plans
from tests.browser.product.addresses import ALL, NO_PAGES, PAGES, Address
from tests.browser.product.people import Account, Listener
from tests.browser.product.silent import Silent
from webapp.app import create_app
from webapp.kernel.settings import Settings
from webapp.web.doors import policies

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The address of a server that never answers."""
    server = Silent()
    yield server.url
    server.close()


@pytest.fixture(scope="module")
def places(account: Account, silent: str) -> dict[str, str]:
    """Workflows and runs in the states that pages show, by the names in `addresses`."""
    home, call = account.home, account.house.until
    example = account.run(account.example_run)["workflow"]["id"]
    every_kind = account.make_workflow("One of each kind", plans.one_of_each(example), live=False)
    empty = account.make_workflow("Nothing yet", plans.plan(), live=False)
    waiting = account.start(account.make_workflow("Long wait", plans.plan(plans.wait("s_1", 9000))))
    failed = account.start(account.make_workflow("Refused", plans.plan(plans.refused("s_1"))))
    talked = account.start(account.make_workflow("Talk", plans.plan(plans.agent("s_1", "2 + 2"))))
    cancelled = account.start(account.make_workflow("Given up", plans.plan(plans.wait("s_1", 900))))
    call("POST", f"/api/v1/runs/{cancelled}/cancel")
    paused = account.start(account.make_workflow("On hold", plans.plan(plans.wait("s_1", 900))))
    call("POST", f"/api/v1/runs/{paused}/pause")
    doubt = account.start(account.make_workflow("Orders", plans.plan(plans.order("s_1", silent))))
    letter = plans.plan(plans.asking("s_1", "Dear Ms. Ada,\nplease pay.", {"in_s": 86_400}))
    asks = account.start(account.make_workflow("Letters", letter))
    sent = account.start(account.make_workflow("Sent", plans.plan(plans.order("s_1", silent))))
    rehearsed = account.rehearse(
        account.make_workflow("Rehearsed", plans.plan(plans.order("s_1", silent)))
    )
    again = plans.plan(plans.rounds("s_9", 3, plans.text("s_1", "Try.", "Try")))
    rounds = account.start(account.make_workflow("Rounds", again))
    hears = account.start(account.make_workflow("Hears", plans.plan(plans.hears("s_1", "paid"))))
    steps = plans.text("s_1", "Dear Ada", "Greet"), plans.refused("s_2")
    mended = account.make_workflow("Mended", plans.plan(*steps))
    mended_run = account.start(mended)
    later = plans.wait("s_4", 900)
    three = plans.asking("s_1", "Dear Ms. Ada,")
    three["with"]["need"] = {"n": 3}
    held = account.make_workflow("Held", plans.plan(later))
    calls = {"id": "s_1", "kind": "workflow", "name": "Ask the prices", "with": {"workflow": held}}
    many = [{"name": f"Customer {n}", "total": n} for n in range(1, 251)]

    def of(name: str, *steps: plans.Step, **inputs: Any) -> str:
        asked = {"inputs": [plans.CUSTOMERS]} if inputs else {}
        return account.start(account.make_workflow(name, plans.plan(*steps, **asked)), **inputs)

    states = {
        "too_few": of("Three must agree", three),
        "problems": of("Mostly done", plans.each("s_1", plans.refused("s_2")), customers=many[:3]),
        "lanes": of("Lanes", plans.lanes("s_1", plans.refused("s_2"), later, plans.wait("s_5", 1))),
        "parts": of("Many", plans.each("s_1", later), customers=many),
        "starts": of("Starts another", calls),
    }
    account.until_asked(states["too_few"])
    account.until_over(
        states["problems"], failed, talked, cancelled, doubt, sent, rehearsed, rounds
    )
    call("POST", f"/api/v1/tasks/{sent}.s_1/decide", {"decision": "happened"})
    account.until_over(sent, mended_run)
    account.mend(mended, plans.plan(plans.text("s_2", "Fine", "Read the orders")))
    why = call("GET", f"/api/v1/runs/{failed}")
    cause = f"{why['workflow']['id']}.s_1.{why['error']['code']}"
    [approval] = account.until_asked(asks)
    runs = {"waiting": waiting, "failed": failed, "talked": talked, "cancelled": cancelled}
    runs |= {"doubt": doubt, "asks": asks, "paused": paused}
    runs |= {"sent": sent, "rehearsed": rehearsed, "rounds": rounds, "hears": hears}
    runs |= {"done": account.example_run, "mended": mended_run} | states
    workflows = {"example": example, "every_kind": every_kind, "empty": empty}
    return (
        {"home": home, "approval": f"{home}/approvals/{approval}", "cause": cause}
        | {name: f"{home}/runs/{run}" for name, run in runs.items()}
        | {name: f"{home}/workflows/{workflow}" for name, workflow in workflows.items()}
    )


@pytest.fixture(scope="module")
def browsing(account: Account, browser: Browser) -> Iterator[Callable[[bool], Page]]:
    """Return a function that gives a browser, signed in or not."""
    shared: dict[str, Any] = {"base_url": account.house.url, "reduced_motion": "reduce"}
    guest = browser.new_context(**shared)
    owner = browser.new_context(**shared, storage_state=account.state)
    pages = guest.new_page(), owner.new_page()
    yield lambda signed_in: pages[signed_in]
    guest.close()
    owner.close()


def test_every_page_has_an_example_here(settings: Settings) -> None:
    rules = [door.split()[1] for door in policies(create_app(settings)) if door.startswith("GET ")]
    theirs = {rule for rule in rules if not rule.startswith("/api/v1/")}

    assert sorted(theirs - PAGES.keys() - NO_PAGES.keys()) == []
    assert sorted((PAGES.keys() | NO_PAGES.keys()) - theirs) == []


@pytest.mark.parametrize("address", ALL, ids=lambda address: address.name)
def test_a_page_is_for_everybody(
    address: Address, places: dict[str, str], browsing: Callable[[bool], Page]
) -> None:
    page = browsing(address.pattern != "/signin")
    heard = Listener(page)
    answer = page.goto(address.pattern.format(**places))
    assert answer
    assert answer.status < 500, address.pattern
    assert "\n".join(look(page, address.name)) == ""
    itself = f"({page.url})"  # a page that says 404 is one that the browser did not get
    # ReDoc asks its maker for a logo; the policy stops that.
    mute = (itself, "/redoc)") if "/redoc" in page.url else (itself,)
    assert [one for one in heard.complaints if not one.endswith(mute)] == []
