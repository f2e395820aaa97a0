"""Pages that change by themselves: by socket, by asking, and never wrong."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.small_app import SmallApp

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("complaints")]

RUN, TEXT = "run:run_1", "text:run_1:s_1"


@pytest.fixture
def watching(page: Page, small_app: SmallApp) -> Page:
    page.add_init_script(
        "addEventListener('htmx:afterSettle', () => { window.settled = (window.settled ?? 0) + 1 })"
    )
    page.goto(f"{small_app.url}/live-page")
    expect(page.locator(".side [data-live-state]")).to_have_text("Live updates on")
    # Once the text's room is joined, the page asks once for what was written before.
    deadline = time.monotonic() + 5
    while not page.evaluate("() => window.settled ?? 0") and time.monotonic() < deadline:
        page.wait_for_timeout(20)
    assert small_app.story.asked == 1
    small_app.story.asked = 0
    return page


def test_an_event_makes_the_page_ask_at_once(watching: Page, small_app: SmallApp) -> None:
    small_app.story.seq = 2
    small_app.tell(RUN, "step.done", 2)

    expect(watching.locator("#row")).to_have_text("seq 2", timeout=1500)


def test_an_old_event_is_dropped(watching: Page, small_app: SmallApp) -> None:
    small_app.tell(RUN, "step.done", 1)
    small_app.story.seq = 3
    small_app.tell(RUN, "step.done", 3)

    expect(watching.locator("#row")).to_have_text("seq 3", timeout=1500)
    assert small_app.story.asked == 1


def test_a_burst_of_events_is_few_questions(watching: Page, small_app: SmallApp) -> None:
    for seq in range(2, 42):
        small_app.story.seq = seq
        small_app.tell(RUN, "step.done", seq)

    expect(watching.locator("#row")).to_have_text("seq 41", timeout=3000)
    assert small_app.story.asked <= 4


def test_streamed_text_is_shown_as_text_only(watching: Page, small_app: SmallApp) -> None:
    small_app.tell(TEXT, "step.text", off=6, attempt=1, text="🚀 <b>bold</b>")
    small_app.tell(TEXT, "step.text", off=6, attempt=1, text="🚀 <b>bold</b>")
    small_app.tell(TEXT, "step.text", off=19, attempt=1, text=" end")

    expect(watching.locator(".stream")).to_have_text("Hello 🚀 <b>bold</b> end", timeout=1500)
    expect(watching.locator(".stream b")).to_have_count(0)
    assert small_app.story.asked == 0


def test_a_gap_in_streamed_text_is_fetched(watching: Page, small_app: SmallApp) -> None:
    small_app.story.text = "Hello, nothing was lost"
    small_app.tell(TEXT, "step.text", off=15, attempt=1, text="was lost")

    expect(watching.locator(".stream")).to_have_text("Hello, nothing was lost", timeout=1500)


def test_text_of_a_new_attempt_begins_anew(watching: Page, small_app: SmallApp) -> None:
    small_app.story.text = "Second"
    small_app.tell(TEXT, "step.text", off=0, attempt=2, text="Second")

    expect(watching.locator(".stream")).to_have_text("Second", timeout=1500)


def test_a_finished_run_stops_asking(watching: Page, small_app: SmallApp) -> None:
    small_app.story.seq, small_app.story.done = 2, True
    small_app.tell(RUN, "run.done", 2)

    expect(watching.locator("#final")).to_have_text("Hello ", timeout=1500)
    expect(watching.locator(".side [data-live-state]")).to_have_text("Up to date")
    expect(watching.locator("#say")).to_have_text("Answer ready")


def test_without_a_socket_the_page_asks_every_two_seconds(page: Page, small_app: SmallApp) -> None:
    small_app.story.sockets = False
    page.goto(f"{small_app.url}/live-page")
    small_app.story.seq, small_app.story.done = 2, True

    expect(page.locator("#row")).to_have_text("seq 2", timeout=6000)


def test_three_questions_without_an_answer_slow_the_asking(page: Page, small_app: SmallApp) -> None:
    small_app.story.sockets = False
    page.route("**/live-part*", lambda route: route.abort())
    page.goto(f"{small_app.url}/live-page")

    expect(page.locator(".side [data-live-state]")).to_have_text(
        "Trying to reach the server…", timeout=15_000
    )


def test_being_offline_is_said(watching: Page) -> None:
    watching.context.set_offline(True)

    expect(watching.locator(".side [data-live-state]")).to_contain_text("You are offline")
