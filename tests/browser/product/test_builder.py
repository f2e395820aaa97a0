"""The builder with its script: it saves itself, says so, and takes nothing away while typing."""

from __future__ import annotations

from playwright.sync_api import Page, expect

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
