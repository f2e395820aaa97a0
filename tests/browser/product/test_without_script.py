"""Everything can be done in a browser that runs no script: each act is a page or a form."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.product import plans
from tests.browser.product.people import EMAIL, NAME, PASSWORD, Account

pytestmark = pytest.mark.browser


@pytest.fixture
def plain(enter: Callable[..., Page]) -> Page:
    """The owner's browser, without script."""
    return enter(java_script_enabled=False)


def expect_steps(page: Page, *names: str) -> None:
    rows = page.locator("#steps .step-row__name")
    expect(rows).to_have_text(["Start", *names, "Result", "Limits"])


def choose(page: Page, step: str, action: str) -> None:
    """Take an action from the menu of a step's row."""
    row = page.locator("[data-row]").filter(has=page.get_by_text(step, exact=True))
    row.locator("summary").click()
    row.get_by_role("button", name=action).or_(row.get_by_role("link", name=action)).click()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def test_a_workflow_is_made_put_live_run_and_read(plain: Page, account: Account) -> None:
    plain.goto(f"{account.home}/workflows")
    plain.get_by_role("link", name="New workflow").click()
    plain.get_by_label("Name", exact=True).fill("Greeting")
    press(plain, "Create workflow")

    plain.locator("#steps").get_by_role("link", name="Start").click()
    press(plain, "Add a question")
    plain.locator("input[name$='-label']").last.fill("Who")
    press(plain, "Save")
    plain.get_by_role("link", name="Add a step").first.click()
    plain.locator("#add").get_by_role("button", name="Make a text").click()
    plain.get_by_label("Name", exact=True).fill("Greet")
    plain.get_by_label("Text", exact=True).fill("Good morning,")
    plain.locator("summary").filter(has_text="Value for Text").click()
    plain.locator(".picker").get_by_role("button", name=re.compile("^Who")).first.click()
    expect(plain.get_by_label("Text", exact=True)).to_have_value("Good morning, [[Start: Who]]")
    press(plain, "Save and close")

    plain.locator("#steps").get_by_role("link", name="Result").click()
    press(plain, "Add a value")
    plain.locator("input[name$='-label']").last.fill("Greeting")
    plain.locator("[name$='-value']").last.fill("[[Greet: Text]]")
    press(plain, "Save")
    plain.get_by_role("link", name="Check and put live").click()
    press(plain, "Put version 1 live")
    expect(plain.get_by_text("Live v1")).to_be_visible()

    plain.locator("main").get_by_role("link", name="Steps", exact=True).click()
    plain.locator("main").get_by_role("link", name="Run", exact=True).click()
    plain.get_by_label("Who").fill("Ada")
    press(plain, "Run")
    expect(plain.get_by_text("Good morning, Ada").first).to_be_visible(timeout=15_000)


def test_steps_are_moved_turned_off_deleted_and_brought_back(plain: Page, account: Account) -> None:
    texts = [plans.text(f"s_{n}", f"Text {n}", name) for n, name in enumerate("ABC", 1)]
    workflow = account.make_workflow("Three texts", plans.plan(*texts), live=False)
    plain.goto(f"{account.home}/workflows/{workflow}")

    choose(plain, "C", "Move up")
    expect_steps(plain, "A", "C", "B")
    choose(plain, "B", "Move to…")
    plain.locator("#move").get_by_role("button").first.click()
    expect_steps(plain, "B", "A", "C")
    choose(plain, "A", "Turn off")
    expect(plain.locator("#row-s_1")).to_contain_text("Off")
    choose(plain, "C", "Duplicate")
    expect(plain.locator("#steps .step-row__name")).to_have_count(7)
    choose(plain, "B", "Delete")
    expect(plain.locator("#row-s_2")).to_have_count(0)
    plain.get_by_role("button", name=re.compile("^Undo")).first.click()
    expect(plain.locator("#row-s_2")).to_contain_text("B")
    plain.get_by_role("button", name=re.compile("^Redo")).first.click()
    expect(plain.locator("#row-s_2")).to_have_count(0)


def test_a_wrong_form_comes_back_as_it_was_typed(plain: Page, account: Account) -> None:
    plain.goto(f"{account.home}/workflows/new")
    plain.get_by_label("About").fill("Kept")
    press(plain, "Create workflow")

    expect(plain).to_have_title(re.compile("^Error: "))
    expect(plain.locator("[data-error-summary]")).to_contain_text("Enter a name")
    expect(plain.get_by_label("About")).to_have_value("Kept")


def test_a_running_run_refreshes_by_itself_and_is_cancelled(plain: Page, account: Account) -> None:
    run = account.start(account.make_workflow("Long wait", plans.plan(plans.wait("s_1", 3600))))
    plain.goto(f"{account.home}/runs/{run}")
    assert plain.locator("meta[http-equiv=refresh]").get_attribute("content") == "5"
    plain.get_by_role("link", name="Stop refreshing").click()
    expect(plain.locator("meta[http-equiv=refresh]")).to_have_count(0)

    press(plain, "Cancel run")

    plain.goto(f"{account.home}/runs/{run}")
    expect(plain.get_by_text("This run was cancelled")).to_be_visible(timeout=10_000)


def test_people_sign_out_and_in_again(account: Account, enter: Callable[..., Page]) -> None:
    page = enter(signed_in=False, java_script_enabled=False)
    page.goto(f"{account.home}/runs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    press(page, "Sign in")
    expect(page).to_have_url(re.compile(f"{account.home}/runs$"))  # where they wanted to go

    page.locator("header summary").filter(has_text=NAME).click()
    press(page, "Sign out")

    expect(page.get_by_text("You are signed out")).to_be_visible()
    page.goto(account.home)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
