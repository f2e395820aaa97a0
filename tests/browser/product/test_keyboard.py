"""The core tasks with the keyboard alone, where the focus is always seen and nothing traps it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.product import plans
from tests.browser.product.people import EMAIL, PASSWORD, Account

pytestmark = pytest.mark.browser

MOST_STOPS = 60
# What has the focus, in words, and whether it is seen: a ring, or it stands on the screen at all.
FOCUSED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const box = at.getBoundingClientRect();
  const style = getComputedStyle(at);
  const ring = parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== "none";
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const label = at.labels?.[0]?.innerText ?? at.getAttribute("aria-label") ?? at.innerText;
  return { name: label.trim().replace(/\\s+/g, " "), seen: ring && inside && box.width > 1 };
}"""


class Keys:
    """Presses keys, and looks at each stop whether the focus is seen."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.stops: list[str] = []

    def tab(self, key: str = "Tab") -> str | None:
        """Go one stop on and return its name; None when the page ends there."""
        self.page.keyboard.press(key)
        at = self.page.evaluate(FOCUSED)
        if at is None:
            return None
        assert at["seen"], f"nobody sees that {at['name']!r} has the focus"
        self.stops.append(at["name"])
        return str(at["name"])

    def to(self, name: str) -> None:
        """Go on until the focus is on `name`."""
        passed = [self.tab()]
        while passed[-1] != name:
            assert len(passed) < MOST_STOPS, f"{name!r} is not reached: {passed}"
            passed.append(self.tab())

    def press(self, key: str = "Enter") -> None:
        self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)


@pytest.fixture
def keys(owner: Page) -> Keys:
    return Keys(owner)


def test_people_sign_in_start_the_example_and_follow_it(
    account: Account, enter: Callable[..., Page]
) -> None:
    page = enter(signed_in=False)
    keys = Keys(page)
    page.goto(f"{account.home}/workflows")

    keys.to("Email")
    keys.type(EMAIL)
    keys.to("Password")
    keys.type(PASSWORD)
    keys.press()  # in a field, it sends the form
    page.wait_for_url(re.compile(r"^[^?]+/workflows$"))

    keys.to("Skip to content")
    keys.press()
    keys.to("Overdue invoices")
    keys.press()
    page.wait_for_url(re.compile(r"/workflows/wf_\w+$"))
    keys.to("Skip to content")
    keys.press()
    keys.to("Run")
    keys.press()
    page.wait_for_url(re.compile(r"/run$"))
    keys.to("Skip to content")
    keys.press()
    keys.to("Run")
    keys.press()
    page.wait_for_url(re.compile(r"/runs/run_\w+"))
    expect(page.locator("#run-head")).to_contain_text("Done", timeout=15_000)


def test_the_steps_of_a_run_open_beside_it(keys: Keys, account: Account) -> None:
    keys.page.goto(f"{account.home}/runs/{account.example_run}?step=s_1")
    keys.to("Skip to content")
    keys.press()
    keys.to(_name_of(keys.page, 1))

    keys.press()

    line = keys.page.locator("#lines a").nth(1)
    expect(line).to_be_focused()
    expect(line).to_have_attribute("aria-current", "true")
    expect(keys.page.locator("#say")).to_have_text("2 Keep the overdue ones is shown")
    keys.to("Went in")
    keys.press()
    expect(keys.page.locator("#pane").get_by_role("link", name="Went in")).to_have_attribute(
        "aria-current", "page"
    )


def _name_of(page: Page, line: int) -> str:
    text: str = page.locator("#lines a").nth(line).inner_text()
    return re.sub(r"\s+", " ", text).strip()


def test_a_run_is_cancelled(keys: Keys, account: Account) -> None:
    run = account.start(account.make_workflow("Too long", plans.plan(plans.wait("s_1", 3600))))
    keys.page.goto(f"{account.home}/runs/{run}")

    keys.to("Cancel run")
    keys.press()

    expect(keys.page.locator("#run-head")).to_contain_text("Cancelled", timeout=10_000)
    keys.to("Skip to content")


def test_the_end_of_a_run_is_said(owner: Page, account: Account) -> None:
    run = account.start(account.make_workflow("Soon over", plans.plan(plans.wait("s_1", 4))))
    owner.goto(f"{account.home}/runs/{run}")
    line = owner.get_by_role("status").and_(owner.locator("#say"))
    expect(line).to_be_empty()
    owner.get_by_role("button", name="Cancel run").focus()

    expect(line).to_have_text(re.compile("^Done"), timeout=15_000)
    expect(owner.get_by_role("heading", level=1)).to_be_focused()  # what had the focus is gone


def test_escape_closes_a_menu_and_gives_the_focus_back(keys: Keys, account: Account) -> None:
    keys.page.goto(f"{account.home}/runs")
    menu = keys.page.get_by_text("your account").locator("xpath=ancestor::summary")

    keys.to("OB Olga Berg, your account")
    keys.press()
    assert keys.tab() == "Your account"
    keys.press("Escape")

    expect(menu).to_be_focused()
    expect(keys.page.get_by_role("link", name="Your account")).to_be_hidden()


@pytest.mark.parametrize("page_of", ["runs", "run", "form", "workflows"])
def test_each_stop_is_seen_and_the_page_can_be_left(
    page_of: str, keys: Keys, account: Account
) -> None:
    workflow = account.run(account.example_run)["workflow"]["id"]
    keys.page.goto(
        {
            "runs": f"{account.home}/runs",
            "run": f"{account.home}/runs/{account.example_run}?step=s_1",
            "form": f"{account.home}/workflows/{workflow}/run",
            "workflows": f"{account.home}/workflows",
        }[page_of]
    )

    assert keys.tab() == "Skip to content"
    while keys.tab() is not None:
        assert len(keys.stops) < MOST_STOPS * 2, f"no way out: {keys.stops[-20:]}"
    order = keys.page.evaluate(
        """() => {
          const tops = [...document.querySelectorAll("main a, main button, main input, main select")]
            .filter((one) => one.checkVisibility() && one.type !== "hidden" && one.tabIndex >= 0)
            .map((one) => one.tabIndex);
          return Math.max(0, ...tops);
        }"""
    )
    assert order == 0  # the order of the page is the order of the keys
