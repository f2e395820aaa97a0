"""A person is asked by mail and answers on a phone, with one press and without signing in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.approvals.post import PostOffice, part
from tests.browser.looking import look
from tests.browser.product import plans
from tests.browser.product.people import Account

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def post() -> Iterator[PostOffice]:
    made = PostOffice()
    yield made
    made.close()


@pytest.fixture(scope="module")
def house_settings(post: PostOffice) -> dict[str, str]:
    return {"SMTP_URL": post.url}


def letter() -> dict[str, object]:
    shown = [{"name": "text", "label": "Text", "value": "Dear Ms. Ada, please pay."}]
    ask = {"who": [{"role": "viewer"}], "show": shown, "edit": ["text"]}
    return plans.plan(
        {"id": "s_1", "kind": "approval", "name": "Check the letter", "with": ask},
        plans.text("s_2", [{"value": ["s_1", "values", "text"]}], "Send"),
        result=[
            {"name": "sent", "label": "Sent", "type": "text", "value": [{"value": ["s_2", "text"]}]}
        ],
    )


@pytest.fixture
def asked(account: Account) -> str:
    """A run that asks, by its id."""
    run = account.start(account.make_workflow(f"Letters {time.monotonic_ns()}", letter()))
    account.until_asked(run)
    return run


def link_of(post: PostOffice, seen: int) -> str:
    """Return the link of the next mail."""
    until = time.monotonic() + 30
    while len(post.mails) <= seen:
        assert time.monotonic() < until, "no mail came"
        time.sleep(0.05)
    [found] = set(
        re.findall(r"http://[^\s\"<]+(/approve/[^\s\"<]+)", part(post.mails[-1], "plain"))
    )
    return str(found)


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_one_press_behind_the_link_of_a_mail(
    account: Account, post: PostOffice, enter: Callable[..., Page], script: bool
) -> None:
    seen = len(post.mails)
    run = account.start(account.make_workflow(f"Letters {time.monotonic_ns()}", letter()))
    page = enter(False, viewport={"width": 320, "height": 640}, java_script_enabled=script)

    page.goto(link_of(post, seen))
    if script:
        assert "\n".join(look(page, "approval-by-mail")) == ""
    page.get_by_role("button", name="Approve").click()

    expect(page.get_by_text("You approved this.")).to_be_visible()
    account.until_over(run)
    assert account.run(run)["result"] == {"sent": "Dear Ms. Ada, please pay."}
    page.reload()
    expect(page.get_by_role("heading", name="This is over")).to_be_visible()
    if script:
        assert "\n".join(look(page, "approval-by-mail-over")) == ""


def test_on_the_page_of_the_run_it_is_edited_answered_and_taken_back(
    account: Account, owner: Page, asked: str
) -> None:
    owner.goto(f"{account.home}/runs/{asked}")
    owner.get_by_label("Text").fill("Dear Ada, pay later.")
    owner.get_by_role("button", name="Approve").click()
    owner.get_by_role("button", name="Undo").click()

    expect(owner.locator(".toast").get_by_text("Taken back. Nothing is decided.")).to_be_visible()
    owner.get_by_label("Text").fill("Dear Ada, pay never.")
    owner.get_by_role("button", name="Approve").click()

    account.until_over(asked)
    assert account.run(asked)["result"] == {"sent": "Dear Ada, pay never."}
    expect(owner.get_by_text("Dear Ada, pay never").first).to_be_visible()


def test_what_is_being_typed_stays_while_the_run_goes_on(account: Account, owner: Page) -> None:
    ask = letter()["steps"][0]  # type: ignore[index]
    lanes = [
        {"id": "a", "steps": [ask]},
        {"id": "b", "steps": [plans.wait("s_3", 3), plans.text("s_4", "x", "Then")]},
    ]
    both = {"id": "s_9", "kind": "parallel", "name": "Both", "with": {"lanes": lanes}}
    run = account.start(account.make_workflow("Two lanes", plans.plan(both)))
    account.until_asked(run)
    owner.goto(f"{account.home}/runs/{run}")
    owner.get_by_label("Note").fill("I am still thinking")

    expect(owner.get_by_text("Then").first).to_be_visible()
    until = time.monotonic() + 15
    while account.run(run)["progress"]["done"] < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    owner.wait_for_timeout(1500)

    expect(owner.get_by_label("Note")).to_have_value("I am still thinking")


def test_enter_in_a_field_decides_nothing(account: Account, owner: Page, asked: str) -> None:
    [approval] = account.until_asked(asked)
    owner.goto(f"{account.home}/approvals/{approval}")
    owner.evaluate("document.querySelector('form.form').requestSubmit()")

    expect(owner.get_by_text("Press one of the buttons.").first).to_be_visible()
    assert account.until_asked(asked) == [approval]


def test_it_is_sent_back_twice_and_every_page_says_which_round_it_is(
    account: Account, owner: Page
) -> None:
    inline = {"instructions": "Repeat what you are told.", "model": "practice"}
    agent = {"inline": inline, "message": "Dear Ms. Ada, please pay."}
    shown = [{"name": "text", "label": "Text", "value": [{"value": ["s_1", "text"]}]}]
    ask = {"who": [{"role": "viewer"}], "show": shown, "back_to": "s_1"}
    steps = (
        {"id": "s_1", "kind": "agent", "name": "Write a letter", "with": agent},
        {"id": "s_2", "kind": "approval", "name": "Check the letter", "with": ask},
        plans.text("s_3", [{"value": ["s_2", "values", "text"]}], "Send"),
    )
    workflow = account.make_workflow(f"Rounds {time.monotonic_ns()}", plans.plan(*steps))
    owner.goto(f"{account.home}/workflows/{workflow}?step=s_2")
    assert "\n".join(look(owner, "builder-approval-rounds")) == ""
    owner.set_viewport_size({"width": 1280, "height": 900})
    run = account.start(workflow)
    account.until_asked(run)
    for number, note in ((2, "Shorter, please."), (3, "Name the invoice.")):
        owner.goto(f"{account.home}/runs/{run}")
        owner.get_by_label("Note").fill(note)
        owner.get_by_role("button", name="Ask for changes").click()
        expect(owner.get_by_text(f"Round {number} of 3").first).to_be_visible(timeout=20_000)

    owner.goto(f"{account.home}/runs/{run}")
    expect(owner.get_by_text("This is the last round")).to_be_visible()
    assert "\n".join(look(owner, "run-approval-rounds")) == ""
    owner.set_viewport_size({"width": 1280, "height": 900})
    owner.get_by_role("navigation", name="Main", exact=True).get_by_text("Approvals").click()
    owner.get_by_role("link", name="Check the letter").first.click()
    expect(owner.get_by_text("Round 2: ").first).to_be_visible()
    assert "\n".join(look(owner, "approval-rounds")) == ""
    owner.set_viewport_size({"width": 1280, "height": 900})
    owner.get_by_role("button", name="Approve").click()
    account.until_over(run)
    owner.goto(f"{account.home}/runs/{run}?step=s_2%233/s_1&view=talk")
    expect(owner.get_by_role("heading", name="Write a letter, round 3")).to_be_visible()
    assert "\n".join(look(owner, "run-round-talk")) == ""
