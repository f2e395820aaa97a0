"""The builder with its script: it saves itself, says so, and takes nothing away while typing."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.product.people import Account


def new_workflow(page: Page, account: Account, name: str) -> str:
    """Make an empty workflow and return its address, with the panel of steps open."""
    page.goto(f"/o/{account.slug}/workflows/new")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create workflow").click()
    page.wait_for_url("**add=root**")
    return page.url.partition("?")[0]


def saved(page: Page) -> None:
    """Wait until what was typed has been answered."""
    with page.expect_response(lambda answer: "/steps/" in answer.url and answer.ok):
        page.evaluate("document.activeElement.dispatchEvent(new Event('change', {bubbles: true}))")


def test_a_step_is_added_filled_in_and_saved_while_typing(owner: Page, account: Account) -> None:
    new_workflow(owner, account, "Typed")

    owner.get_by_label("Search steps").fill("make a")
    owner.keyboard.press("Enter")
    expect(owner.get_by_label("Name", exact=True)).to_be_focused()
    owner.get_by_label("Name", exact=True).fill("Greeting")
    owner.get_by_label("Text", exact=True).fill("Hello ")
    saved(owner)

    expect(owner.locator("#row-s_1")).to_contain_text("Greeting")
    expect(owner.locator("#row-s_1")).to_contain_text("Hello")
    expect(owner.locator("#whats-left")).to_contain_text("Nothing. You may put this live.")


def test_what_was_added_can_be_typed_in_at_once(owner: Page, account: Account) -> None:
    url = new_workflow(owner, account, "Asked")
    owner.goto(f"{url}?step=start#edit-start")
    for words in ("Which list", "Which day"):
        owner.get_by_role("button", name="Add a question").press("Enter")
        question = owner.get_by_label("Question", exact=True).last
        expect(question).to_be_focused()
        expect(question).to_have_value("")
        owner.keyboard.type(words)
        saved(owner)
    expect(owner.get_by_label("Question", exact=True)).to_have_count(2)

    owner.goto(f"{url}?add=root::0#add")
    owner.locator("#add").get_by_role("button", name="Work with a list").click()
    owner.get_by_role("button", name="Add", exact=True).press("Enter")
    owner.get_by_role("button", name="Add a row").press("Enter")
    expect(owner.locator("#with-do-0-where-rows-1-value")).to_be_focused()


def test_a_slash_opens_the_values_and_enter_puts_one_in(owner: Page, account: Account) -> None:
    new_workflow(owner, account, "Picked")
    owner.locator("#add").get_by_role("button", name="Make a text").click()

    field = owner.get_by_label("Text", exact=True)
    field.fill("Today is ")
    field.press("End")
    field.press("/")
    owner.locator("#with-text-find").fill("today")
    owner.keyboard.press("Enter")

    expect(field).to_have_value("Today is [[Now: Today]]")
    saved(owner)
    expect(owner.locator("#row-s_1 .val")).to_have_text("Today")


def test_a_deleted_step_comes_back_from_the_message(owner: Page, account: Account) -> None:
    new_workflow(owner, account, "Deleted")
    owner.locator("#add").get_by_role("button", name="Make a text").click()
    expect(owner.locator("#row-s_1")).to_be_visible()

    owner.locator("#row-s_1 summary").click()
    owner.locator("#row-s_1").get_by_role("button", name="Delete").click()
    expect(owner.locator("#row-s_1")).to_have_count(0)
    owner.locator("#flash").get_by_role("button", name="Undo").click()

    expect(owner.locator("#row-s_1")).to_be_visible()


def test_two_people_at_one_step_lose_nothing(owner: Page, account: Account) -> None:
    url = new_workflow(owner, account, "Both")
    owner.locator("#add").get_by_role("button", name="Make a text").click()
    expect(owner.locator("#edit-s_1")).to_be_visible()
    other = owner.context.new_page()
    for page in (owner, other):
        page.goto(f"{url}?step=s_1")

    owner.get_by_label("Text", exact=True).fill("First.")
    saved(owner)
    other.get_by_label("Text", exact=True).fill("Second.")
    expect(other.locator("#conflict-s_1")).to_contain_text("Somebody changed this step too")
    expect(other.get_by_label("Text", exact=True)).to_have_value("Second.")
    other.get_by_role("button", name="Keep mine").click()

    expect(other.locator("#conflict-s_1")).to_be_empty()
    owner.reload()
    expect(owner.get_by_label("Text", exact=True)).to_have_value("Second.")


def tab_to(page: Page, wanted: Locator, key: str = "Tab", most: int = 45) -> None:
    """Go on by keyboard until `wanted` has the focus."""
    for _ in range(most):
        page.keyboard.press(key)
        if wanted.count() and wanted.first.evaluate("it => it === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached with {most} times {key}")


def add_step(page: Page, after: int, kind: str) -> None:
    """Add a step behind the open one, whose form has the focus."""
    tab_to(page, page.get_by_role("link", name=f"Add a step after step {after}"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**add=root::{after}**")
    choose_kind(page, kind)


def choose_kind(page: Page, kind: str) -> None:
    expect(page.get_by_label("Search steps")).to_be_focused()
    page.keyboard.type(kind)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()


@pytest.mark.parametrize("width", [1280, 320])
def test_a_workflow_is_built_put_live_and_run_with_the_keyboard_alone(
    enter: Callable[..., Page], account: Account, width: int
) -> None:
    page = enter(viewport={"width": width, "height": 720})
    keys = page.keyboard
    page.goto(f"/o/{account.slug}/workflows/new")
    tab_to(page, page.get_by_label("Name", exact=True))
    keys.type(f"Keys {width}")
    keys.press("Enter")
    page.wait_for_url("**add=root**")

    choose_kind(page, "make a")
    keys.press("ControlOrMeta+a")
    keys.type("Greeting")
    keys.press("Tab")
    keys.type("Hello")
    add_step(page, 1, "wait")
    expect(page.locator("#row-s_1")).to_contain_text("Hello")
    tab_to(page, page.get_by_label("Wait for"))
    keys.type("1")
    add_step(page, 2, "make a")
    tab_to(page, page.get_by_label("Text", exact=True))
    keys.type("They said /")
    expect(page.get_by_label("Search values").first).to_be_focused()
    keys.type("greeting")
    keys.press("Enter")
    expect(page.get_by_label("Text", exact=True)).to_have_value("They said [[Greeting: Text]]")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()

    tab_to(page, page.get_by_role("link", name="Check and put live"), "Shift+Tab")
    keys.press("Enter")
    page.wait_for_url("**/live")
    tab_to(page, page.get_by_role("button", name="Put version 1 live"))
    keys.press("Enter")
    page.wait_for_url("**/versions")
    tab_to(page, page.get_by_role("main").get_by_role("link", name="Run", exact=True))
    keys.press("Enter")
    page.wait_for_url("**/run")
    tab_to(page, page.get_by_role("main").get_by_role("button", name=re.compile("^(Run|Start)")))
    keys.press("Enter")
    page.wait_for_url("**/runs/run_**")

    expect(page.locator("#run-head")).to_contain_text("Done")
    expect(page.get_by_role("main")).to_contain_text("3 of 3")


def test_rows_keep_the_focus_while_they_are_changed_by_keys(owner: Page, account: Account) -> None:
    plan = {
        "plan": 1,
        "steps": [
            {"id": f"s_{n}", "kind": "text", "name": name, "with": {"text": "a"}}
            for n, name in enumerate(("One", "Two", "Three"), start=1)
        ],
    }
    workflow = account.make_workflow("Rows by keys", plan, live=False)
    row = owner.locator("#go-s_2")
    names = owner.locator("#steps .step-row__name")
    owner.goto(f"/o/{account.slug}/workflows/{workflow}#go-s_2")
    expect(row).to_be_focused()

    owner.keyboard.press("Alt+ArrowDown")
    expect(names).to_have_text(["Start", "One", "Three", "Two", "Result", "Limits"])
    expect(row).to_be_focused()
    owner.keyboard.press("Alt+ArrowUp")
    expect(names).to_have_text(["Start", "One", "Two", "Three", "Result", "Limits"])
    owner.keyboard.press("Tab")
    owner.keyboard.press("Enter")
    tab_to(owner, owner.locator("#row-s_2").get_by_role("link", name="Add note"), "ArrowDown", 12)
    owner.keyboard.press("Enter")
    expect(owner.get_by_label("Note", exact=True)).to_be_focused()
    owner.keyboard.type("Ask Ada first.")
    tab_to(owner, owner.get_by_role("button", name="Save note"))
    owner.keyboard.press("Enter")
    expect(row).to_contain_text("Ask Ada first.")
    expect(row).to_be_focused()
    owner.keyboard.press("Delete")
    expect(names).to_have_text(["Start", "One", "Three", "Result", "Limits"])

    expect(owner.locator("#go-s_1")).to_be_focused()


def test_a_link_that_is_followed_while_typing_shows_what_was_typed(
    owner: Page, account: Account
) -> None:
    new_workflow(owner, account, "Hasty")
    owner.locator("#add").get_by_role("button", name="Make a text").click()
    owner.get_by_label("Text", exact=True).fill("Typed in haste")

    owner.locator("#steps").get_by_role("link", name="Result").click()

    expect(owner.locator("#edit-result")).to_be_visible()
    expect(owner.locator("#row-s_1")).to_contain_text("Typed in haste")


def test_two_people_at_start_see_both_values_and_lose_nothing(
    owner: Page, account: Account
) -> None:
    question = {"name": "who", "label": "Who", "type": "text"}
    workflow = account.make_workflow("Both at Start", {"plan": 1, "inputs": [question]}, live=False)
    other = owner.context.new_page()
    for page in (owner, other):
        page.goto(f"/o/{account.slug}/workflows/{workflow}?step=start")

    owner.get_by_label("Question", exact=True).fill("Your name")
    saved(owner)
    other.get_by_label("Question", exact=True).fill("Who are you?")

    told = other.locator("#conflict-start")
    expect(told).to_contain_text("Somebody changed what Start asks for too")
    expect(told.locator("del")).to_contain_text("Your name")
    expect(told.locator("ins")).to_contain_text("Who are you?")
    expect(other.get_by_label("Question", exact=True)).to_have_value("Who are you?")
    other.get_by_role("button", name="Keep mine").click()
    expect(told).to_be_empty()
    owner.reload()
    expect(owner.get_by_label("Question", exact=True)).to_have_value("Who are you?")


def test_another_workflow_is_run_by_a_step_that_is_built_with_the_keyboard(
    owner: Page, account: Account
) -> None:
    asked = {"name": "whom", "label": "Whom to greet", "type": "text", "required": True}
    said = {"name": "said", "label": "What was said", "type": "text",
            "value": [{"value": ["s_1", "text"]}]}  # fmt: skip
    greet = {"id": "s_1", "kind": "text", "with": {"text": "Hello"}}
    plan = {"plan": 1, "inputs": [asked], "steps": [greet], "result": [said]}
    account.make_workflow("Aaa greets", plan)
    keys = owner.keyboard
    new_workflow(owner, account, "Calls another")
    choose_kind(owner, "another workflow")

    tab_to(owner, owner.get_by_label("Workflow", exact=True))
    keys.type("Aaa")
    keys.press("Tab")
    whom = owner.get_by_label("Whom to greet")
    expect(whom).to_be_visible()
    expect(owner.locator("#whats-left")).to_contain_text("fill in “Whom to greet”")
    tab_to(owner, whom)
    keys.type("Ada")
    add_step(owner, 1, "make a")
    expect(owner.locator("#row-s_1")).to_contain_text("Runs Aaa greets")
    tab_to(owner, owner.get_by_label("Text", exact=True))
    keys.type("/")
    expect(owner.get_by_label("Search values").first).to_be_focused()
    keys.type("was said")
    keys.press("Enter")

    expect(owner.get_by_label("Text", exact=True)).to_have_value(
        "[[Run another workflow: What was said]]"
    )
    expect(owner.locator("#whats-left")).to_contain_text("Nothing. You may put this live.")


def test_a_plan_is_pasted_and_opens_in_the_builder(owner: Page, account: Account) -> None:
    owner.goto(f"/o/{account.slug}/workflows/new")
    owner.get_by_role("link", name="Paste or upload a plan").click()
    owner.get_by_label("Name").fill("From a text")
    owner.get_by_label("Plan", exact=True).fill("plan: 1\nsteps: [{id: s_1, kind: txet}")
    owner.get_by_role("button", name="Create workflow").click()
    expect(owner.locator("#import-workflow")).to_contain_text("It is not YAML: line")

    owner.get_by_label("Plan", exact=True).fill("plan: 1\nsteps:\n- {id: s_1, kind: text}\n")
    owner.get_by_role("button", name="Create workflow").click()

    owner.wait_for_url("**/workflows/wf_**")
    expect(owner.locator("#row-s_1")).to_contain_text("Make a text")
