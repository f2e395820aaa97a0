"""From the printed set-up link to the result of a run: three fields and three clicks at most."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.looking import look
from tests.browser.product.conftest import set_up_link
from tests.browser.product.people import Listener, set_up
from tests.chaos.house import House

pytestmark = pytest.mark.browser

RESULT = "87 invoices of 23 customers are overdue"


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_newcomer_sees_the_result_of_their_own_run(
    build_house: Callable[..., House], browser: Browser, script: bool
) -> None:
    house = build_house()
    context = browser.new_context(java_script_enabled=script)
    page = context.new_page()
    heard = Listener(page)

    hand = set_up(page, set_up_link(house))
    expect(page.get_by_role("heading", name=RESULT)).to_be_visible()  # the example's, at once
    assert (hand.fields, hand.clicks) == (3, 1)

    example = page.url
    hand.press("Run again", role="link")
    hand.press("Run")
    expect(page).to_have_url(re.compile(r"/runs/run_\w+"))
    assert page.url != example
    expect(page.get_by_role("heading", name=RESULT)).to_be_visible(timeout=15_000)
    assert hand.fields <= 3
    assert hand.clicks <= 3
    assert heard.complaints == []
    context.close()
    house.stop()


def test_the_set_up_page_is_for_everybody(
    build_house: Callable[..., House], browser: Browser
) -> None:
    house = build_house()
    page = browser.new_page(reduced_motion="reduce")  # or colors are measured on their way
    page.goto(set_up_link(house))
    wrong = look(page, "set-up-form")
    page.goto(f"{house.url}/setup?code=wrong")
    wrong += look(page, "set-up-refused")
    page.close()
    house.stop()

    assert wrong == []
