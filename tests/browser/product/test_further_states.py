"""Pages as they stand after something was pressed, went wrong, or is seen by somebody else."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.looking import look
from tests.browser.product import plans
from tests.browser.product.people import EMAIL, PASSWORD, Account

pytestmark = pytest.mark.browser

Act = Callable[[Page, dict[str, str]], object]
STATES: dict[str, tuple[str, Act]] = {}  # name of the pictures: who sits there, and what they do


def state(who: str) -> Callable[[Act], Act]:
    def kept(act: Act) -> Act:
        STATES[act.__name__.replace("_", "-")] = who, act
        return act

    return kept


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def step_menu(page: Page, step: str) -> None:
    page.locator(f"#row-{step} summary").click()


@state("guest")
def sign_in_empty(page: Page, at: dict[str, str]) -> None:
    page.goto("/signin")
    press(page, "Sign in")
    page.locator("[data-error-summary]").wait_for()


@state("guest")
def sign_in_refused(page: Page, at: dict[str, str]) -> None:
    page.goto("/signin")
    page.get_by_label("Email").fill("nobody@acme.example")
    page.get_by_label("Password", exact=True).fill("not the right one")
    press(page, "Sign in")
    page.locator("[data-error-summary]").wait_for()


@state("guest")
def guest_nowhere(page: Page, at: dict[str, str]) -> None:
    page.goto("/nowhere")


@state("guest")
def docs_tried(page: Page, at: dict[str, str]) -> None:
    """Operations unfolded, one with its answer, and the schemas."""
    page.goto("/docs")
    for name in ("workflows_create", "workflows_delete", "runs_list_runs", "files_upload"):
        box = page.locator(f".opblock[id$='{name}']")
        box.locator(".opblock-summary-control").click()
        box.get_by_role("button", name="Try it out").click()
    page.locator(".opblock[id$='runs_list_runs'] .execute").click()
    page.locator(".live-responses-table pre").first.wait_for()
    page.locator(".models-control").click()
    for button in page.locator(".json-schema-2020-12-expand-deep-button").all()[:3]:
        button.click()


@state("guest")
def docs_key(page: Page, at: dict[str, str]) -> None:
    page.goto("/docs")
    page.locator(".btn.authorize").click()
    page.get_by_role("dialog").wait_for()


@state("owner")
def nowhere(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['home']}/workflows/wf_{'0' * 26}")


@state("owner")
def account_menu(page: Page, at: dict[str, str]) -> None:
    page.goto(at["runs"])
    page.locator(".topbar .menu summary").last.click()


@state("owner")
def account_errors(page: Page, at: dict[str, str]) -> None:
    page.goto("/me")
    press(page, "Change password")
    page.locator("[data-error-summary]").wait_for()


@state("owner")
def account_saved(page: Page, at: dict[str, str]) -> None:
    page.goto("/me")
    press(page, "Save colors")
    page.locator(".toast").wait_for()


@state("owner")
def workflow_new_errors(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['workflows']}/new")
    press(page, "Create workflow")
    page.locator("[data-error-summary]").wait_for()


@state("owner")
def workflow_import_too_large(page: Page, at: dict[str, str]) -> None:
    """Sent without htmx, so that the answer is a page of its own."""
    page.goto(f"{at['workflows']}/import")
    page.get_by_label("Plan", exact=True).evaluate("field => field.value = 'x'.repeat(3_000_000)")
    with page.expect_navigation():
        page.locator("main form").evaluate("form => form.submit()")
    page.get_by_text("E-TOO-LARGE").wait_for()


@state("owner")
def workflow_import_too_large_here(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['workflows']}/import")
    page.get_by_label("Plan", exact=True).evaluate("field => field.value = 'x'.repeat(3_000_000)")
    press(page, "Create workflow")
    page.get_by_text("E-TOO-LARGE").wait_for()


@state("owner")
def workflow_settings_errors(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['every_kind']}/settings")
    page.get_by_label("Name", exact=True).fill("")
    press(page, "Save settings")
    page.locator("[data-error-summary]").wait_for()


@state("owner")
def workflows_menu(page: Page, at: dict[str, str]) -> None:
    page.goto(at["workflows"])
    page.locator("main summary").first.click()


@state("owner")
def run_form_errors(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['asks']}/run")
    press(page, "Run")
    page.locator("[data-error-summary]").wait_for()


@state("owner")
def live_refused(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['left']}/live")
    page.get_by_role("button", name="Put version 1 live").click()
    page.locator("[data-error-summary]").wait_for()


@state("owner")
def builder_left(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['left']}?step=s_1")


@state("owner")
def builder_menu(page: Page, at: dict[str, str]) -> None:
    page.goto(at["every_kind"])
    step_menu(page, "s_3")


@state("owner")
def builder_values(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['every_kind']}?step=s_1")
    page.locator("#steps summary").filter(has_text="Value for").first.click()
    page.locator(".picker:visible").first.wait_for()


@state("owner")
def builder_deleted(page: Page, at: dict[str, str]) -> None:
    page.goto(at["every_kind"])
    step_menu(page, "s_14")
    page.locator("#row-s_14").get_by_role("button", name="Delete").click()
    page.locator(".toast").wait_for()


@state("owner")
def builder_conflict(page: Page, at: dict[str, str]) -> None:
    pages = page, page.context.new_page()
    for one in pages:
        one.goto(f"{at['both']}?step=s_1")
    for one, words in zip(reversed(pages), ("First.", "Second."), strict=True):
        one.get_by_label("Text", exact=True).fill(words)
        with one.expect_response(lambda answer: "/steps/" in answer.url):
            one.get_by_label("Text", exact=True).blur()
    pages[1].close()
    expect(page.locator("#conflict-s_1")).to_contain_text("Somebody changed this step too")


@state("owner")
def unreachable(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['every_kind']}/settings")
    page.route("**/settings", lambda route: route.abort())
    press(page, "Save settings")
    page.get_by_text("We could not reach the server").wait_for()
    page.unroute("**/settings")


@state("leaver")
def signed_out(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['every_kind']}/settings")
    page.context.clear_cookies()
    press(page, "Save settings")
    page.get_by_role("heading", name="Sign in again").wait_for()


@state("newcomer")
def workflows_empty(page: Page, at: dict[str, str]) -> None:
    page.goto("/o/empty/workflows")


@state("newcomer")
def runs_empty(page: Page, at: dict[str, str]) -> None:
    page.goto("/o/empty/runs")


@state("viewer")
def viewer_workflows(page: Page, at: dict[str, str]) -> None:
    page.goto(at["workflows"])


@state("viewer")
def viewer_builder(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['every_kind']}?step=s_1")


@state("viewer")
def viewer_live(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['asks']}/live")


@state("viewer")
def viewer_settings(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['every_kind']}/settings")


@state("viewer")
def viewer_run(page: Page, at: dict[str, str]) -> None:
    page.goto(at["waiting"])


@state("viewer")
def viewer_refused(page: Page, at: dict[str, str]) -> None:
    page.goto(f"{at['workflows']}/new")
    page.get_by_text("E-ROLE").wait_for()


@state("member")
def member_builder(page: Page, at: dict[str, str]) -> None:
    page.goto(at["every_kind"])


@state("member")
def member_run(page: Page, at: dict[str, str]) -> None:
    page.goto(at["waiting"])


@state("member")
def member_refused(page: Page, at: dict[str, str]) -> None:
    page.goto("/admin/ui")
    page.get_by_text("E-ROLE").wait_for()


@pytest.fixture(scope="module")
def at(account: Account) -> dict[str, str]:
    """Addresses of workflows and a run that the states need."""
    workflows = f"{account.home}/workflows"
    asked = {"name": "who", "label": "Who", "type": "text", "required": True}
    asks = plans.plan(plans.text("s_1", "Hello.", "Greet"), inputs=[asked])
    left = plans.plan({"id": "s_1", "kind": "http", "name": "Read the orders", "with": {}})
    both = plans.plan(plans.text("s_1", "Hello.", "Greet"))
    example = account.run(account.example_run)["workflow"]["id"]
    every_kind = plans.one_of_each(example)
    made = {
        "every_kind": account.make_workflow("One of each kind", every_kind, live=False),
        "asks": account.make_workflow("Greeting", asks),
        "left": account.make_workflow("Half done", left, live=False),
        "both": account.make_workflow("Both", both, live=False),
    }
    waiting = account.start(account.make_workflow("Long wait", plans.plan(plans.wait("s_1", 9000))))
    return {
        "home": account.home,
        "workflows": workflows,
        "runs": f"{account.home}/runs",
        "waiting": f"{account.home}/runs/{waiting}",
        **{name: f"{workflows}/{workflow}" for name, workflow in made.items()},
    }


def join(account: Account, who: str, role: str, slug: str = "") -> str:
    """Let somebody in who has the owner's password, and return their email.

    Pages for this come later, so it is written where they will write.
    """
    email = EMAIL.replace("olga", who)
    with closing(sqlite3.connect(account.house.data / "deckhand.sqlite3", timeout=30)) as db, db:
        user, organization = uuid4().bytes, uuid4().bytes
        db.execute(
            "INSERT INTO user SELECT ?, ?, ?, ?, password_hash, 0, zone, theme, made_at FROM user"
            " WHERE email_folded = ?",
            (user, who.title(), email, email, EMAIL),
        )
        if slug:
            db.execute(
                "INSERT INTO organization SELECT ?, ?, ?, made_at FROM organization LIMIT 1",
                (organization, slug, f"{who.title()}’s organization"),
            )
        else:
            sought = "SELECT id FROM organization WHERE slug = ?"
            (organization,) = db.execute(sought, (account.slug,)).fetchone()
        since = "SELECT ?, ?, ?, made_at FROM user LIMIT 1"
        db.execute(f"INSERT INTO membership {since}", (organization, user, role))
    return email


@pytest.fixture(scope="module")
def people(account: Account, browser: Browser) -> Iterator[dict[str, Page]]:
    """A browser for each of those who look."""
    shared: dict[str, Any] = {"base_url": account.house.url, "reduced_motion": "reduce"}
    contexts: dict[str, BrowserContext] = {
        "guest": browser.new_context(**shared),
        "owner": browser.new_context(**shared, storage_state=account.state),
        **{name: browser.new_context(**shared) for name in ("viewer", "member", "newcomer")},
        "leaver": browser.new_context(**shared),
    }
    pages = {name: context.new_page() for name, context in contexts.items()}
    emails = {
        "viewer": join(account, "viewer", "viewer"),
        "member": join(account, "member", "member"),
        "newcomer": join(account, "newcomer", "owner", "empty"),
        "leaver": join(account, "leaver", "member"),
    }
    for name, email in emails.items():
        pages[name].goto("/signin")
        pages[name].get_by_label("Email").fill(email)
        pages[name].get_by_label("Password", exact=True).fill(PASSWORD)
        press(pages[name], "Sign in")
        pages[name].wait_for_url("**/workflows")
    yield pages
    for context in contexts.values():
        context.close()


@pytest.mark.parametrize("name", STATES)
def test_a_state_is_for_everybody(name: str, at: dict[str, str], people: dict[str, Page]) -> None:
    who, act = STATES[name]
    page = people[who]
    page.set_viewport_size({"width": 1280, "height": 900})

    act(page, at)

    assert look(page, name) == []


def test_a_line_that_is_held_twice_says_by_whom(
    at: dict[str, str], people: dict[str, Page]
) -> None:
    page = people["owner"]
    for where, name in (
        ("/admin/queues", "Pause the queue"),
        (f"{at['home']}/queue", "Pause all runs"),
    ):
        page.goto(where)
        press(page, name)
        page.get_by_role("button", name=re.compile("^Resume")).wait_for()

    expect(page.get_by_role("heading", name="The queue of this machine is paused")).to_be_visible()
    wrong = look(page, "queue-held")
    press(page, "Resume all runs")
    page.get_by_role("link", name="Open the queue").click()
    wrong += look(page, "admin-queues-paused")
    press(page, "Resume the queue")

    assert wrong == []
