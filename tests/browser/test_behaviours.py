"""What the script adds to pages, in a real browser under the real Content-Security-Policy."""

from __future__ import annotations

import re

import pytest
from flask import render_template
from playwright.sync_api import Page, expect

from tests.browser.small_app import Problem, SmallApp

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("complaints")]


@pytest.fixture
def acting(page: Page, small_app: SmallApp) -> Page:
    page.goto(f"{small_app.url}/act")
    return page


def test_a_wrong_form_comes_back_alone_with_focus_on_the_summary(acting: Page) -> None:
    acting.get_by_role("button", name="Keep the name").click()

    expect(acting.locator("[data-error-summary]")).to_be_focused()
    expect(acting).to_have_title(re.compile("^Error: Try things"))
    expect(acting.locator("form#name-form")).to_have_count(1)
    expect(acting.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize("status", [403, 500])
def test_a_failure_is_a_notice_and_the_form_stays(acting: Page, status: int) -> None:
    acting.get_by_role("button", name=f"Do {status}").click()

    expect(acting.locator("[data-notice]").get_by_role("alert")).to_contain_text(
        "This did not work"
    )
    expect(acting.locator(f"#form-{status}")).to_be_visible()


def test_who_was_too_fast_sees_when_to_go_on(acting: Page) -> None:
    acting.get_by_role("button", name="Do 429").click()

    expect(acting.get_by_role("alert")).to_contain_text("You can try again: in 2")
    expect(acting.get_by_role("alert")).to_contain_text("You can try again: now")


def test_a_sentence_that_names_the_wait_counts_down_and_is_not_said_twice(
    small_app: SmallApp,
) -> None:
    wait = Problem(429, text="You can try again in 30 s.", retry_after=30)
    with small_app.flask.test_request_context():
        for face in ("notice", "page"):
            said = render_template(f"errors/{face}.html", problem=wait)
            assert said.count("You can try again") == 1
            assert 'data-seconds="30">in 30 s</span>.' in said


def test_an_unreachable_server_is_said_in_the_page(acting: Page) -> None:
    acting.route("**/gone", lambda route: route.abort())

    acting.get_by_role("button", name="Lose it").click()

    expect(acting.get_by_role("alert")).to_contain_text("We could not reach the server")


def test_after_signing_in_again_what_was_typed_is_sent(acting: Page, small_app: SmallApp) -> None:
    acting.get_by_label("Typed").fill("kept text")
    acting.get_by_role("button", name="Send it").click()
    dialog = acting.get_by_role("dialog", name="Sign in again")
    expect(dialog.get_by_label("Email")).to_be_focused()

    dialog.get_by_label("Email").fill("olga@nordlicht.example")
    dialog.get_by_label("Password", exact=True).fill("a sentence works well")
    dialog.get_by_role("button", name="Sign in", exact=True).click()

    expect(acting.get_by_text("Sent")).to_be_visible()
    expect(dialog).to_be_hidden()
    assert small_app.story.sent == [{"typed": "kept text", "csrf_token": "second"}]


def test_a_save_that_failed_is_tried_again_by_itself(acting: Page, small_app: SmallApp) -> None:
    small_app.story.saves_to_fail = 1
    acting.get_by_label("Note").fill("New")

    expect(acting.locator("#save-state")).to_have_text("Not saved yet, trying again")
    expect(acting.locator("#save-state")).to_have_text("Saved 14:02")
    assert small_app.story.sent == [{"value": "New"}]


def test_a_message_goes_by_itself_and_can_be_closed(page: Page, small_app: SmallApp) -> None:
    page.goto(f"{small_app.url}/act?said=Version+8+is+live.")
    expect(page.locator(".toast")).to_contain_text("Version 8 is live.")
    expect(page.locator("#say")).to_have_text("Version 8 is live.")

    page.get_by_role("button", name="Close this message").click()

    expect(page.get_by_text("Version 8 is live.")).to_have_count(0)


def test_times_are_told_as_people_say_them(acting: Page) -> None:
    expect(acting.locator("main time")).to_have_text("4 Mar 2026, 14:02")
    expect(acting.locator("main time")).to_have_attribute(
        "title", "Wed 4 March 2026, 14:02:11 (Europe/Berlin)"
    )


def test_a_menu_opens_walks_and_closes_by_keys(acting: Page) -> None:
    acting.get_by_text("Actions", exact=True).click()
    acting.keyboard.press("ArrowDown")
    expect(acting.get_by_role("button", name="Duplicate")).to_be_focused()

    acting.keyboard.press("Escape")

    expect(acting.get_by_role("button", name="Duplicate")).to_be_hidden()
    expect(acting.locator("main summary")).to_be_focused()


def test_keys_reach_search_and_pages_but_not_while_typing(acting: Page) -> None:
    acting.keyboard.press("/")
    expect(acting.get_by_label("Find a workflow")).to_be_focused()

    acting.keyboard.type("gr")
    expect(acting.get_by_label("Find a workflow")).to_have_value("gr")
    acting.locator("h1").click()
    acting.keyboard.press("g")
    acting.keyboard.press("r")

    expect(acting).to_have_url(re.compile("/live-page$"))


def test_a_picked_value_stands_where_the_caret_was(page: Page, small_app: SmallApp) -> None:
    page.goto(f"{small_app.url}/admin/ui")
    field = page.locator("#x-message")
    field.fill("Read ")
    field.press("End")

    page.keyboard.type("/")
    page.keyboard.type("attach")
    expect(page.locator("[data-value-picker=x-message] .picker__opt:visible")).to_have_count(1)
    page.keyboard.press("Enter")

    expect(field).to_have_value("Read [[Start: Attachments]]")
    expect(page.locator(".values:has(#x-message) mark")).to_have_text("[[Start: Attachments]]")
    page.keyboard.press("Backspace")
    expect(field).to_have_value("Read ")


def test_a_password_can_be_looked_at(page: Page, small_app: SmallApp) -> None:
    page.goto(f"{small_app.url}/admin/ui")

    page.get_by_role("button", name="Show password").click()

    expect(page.locator("#x-pw")).to_have_attribute("type", "text")
