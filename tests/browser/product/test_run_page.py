"""A run's page tells the truth by itself, whatever happens to sockets and servers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.product import plans
from tests.browser.product.people import Account, Listener
from tests.browser.product.silent import Silent
from tests.browser.product.slow_model import FIRST, REST, SlowModel
from tests.services import free_port

pytestmark = pytest.mark.browser

IN_TIME_MS = 3000


@pytest.fixture(scope="module")
def model_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def house_settings(model_port: int) -> dict[str, str]:
    """Agents of this Deckhand ask the model server that the test plays."""
    url = f"http://127.0.0.1:{model_port}/v1"
    return {
        "MODEL_BASE_URL": url,
        "MODEL_API_KEY": "none",
        "MODEL_NAME": "slow",
        "OUTBOUND_ALLOW": f"127.0.0.1/32:{model_port},127.0.0.1/32:9000-9999",
    }


@pytest.fixture
def model(model_port: int) -> Iterator[SlowModel]:
    server = SlowModel(model_port)
    yield server
    server.close()


def start(account: Account, name: str, *steps: plans.Step) -> str:
    return account.start(account.make_workflow(name, plans.plan(*steps)))


def watch(page: Page, account: Account, run: str, step: str = "") -> None:
    page.goto(f"{account.home}/runs/{run}{f'?step={step}' if step else ''}")


def final(page: Page) -> str:
    """Return the content of the page, but for what says how it was kept fresh."""
    page.wait_for_load_state()
    text: str = page.locator("#main .page > :not(footer, noscript)").evaluate_all(
        "(all) => all.map((one) => one.innerText.replace(/\\s+/g, ' ')).join(' ').trim()"
    )
    return text


def test_lines_change_and_the_result_comes_without_a_new_page(
    owner: Page, heard: Listener, account: Account
) -> None:
    waits = [plans.wait(f"s_{n}", 2, f"Wait {n}") for n in (1, 2)]
    watch(owner, account, start(account, "Two waits", *waits))
    owner.evaluate("window.sameAsBefore = true")
    expect(owner.locator(".side [data-live-state]")).to_have_text("Live updates on")

    expect(owner.locator("#at-s_2 .line__mark")).not_to_have_attribute("data-state", "queued")
    expect(owner.locator("#run-head")).to_contain_text("Done", timeout=15_000)

    expect(owner.locator(".side [data-live-state]")).to_have_text("Up to date")
    assert owner.evaluate("window.sameAsBefore")
    shown = final(owner)
    assert heard.complaints == []
    owner.reload()
    assert final(owner) == shown


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


def test_what_is_in_doubt_is_asked_on_the_page_that_somebody_watches(
    owner: Page, heard: Listener, account: Account, silent: Silent
) -> None:
    steps = plans.wait("s_1", 2), plans.order("s_2", silent.url), plans.text("s_3", "Hi", "Thank")
    watch(owner, account, start(account, "Orders", *steps))

    asked = owner.get_by_role("region", name="Did step 2 “Order paper” happen?")
    expect(asked).to_contain_text(f"POST {silent.url}", timeout=15_000)
    expect(owner.locator("#say")).to_have_text("Needs your decision")
    expect(owner).to_have_title(re.compile("^Needs your decision: Orders"))
    asked.get_by_label("Note").fill("Order 4711 is there.")
    asked.get_by_role("button", name="It happened").press("Enter")
    expect(owner.locator("#say")).to_have_text("Decided. The run is back in line.")

    expect(owner.locator("#run-head")).to_contain_text("Done", timeout=15_000)
    expect(owner.locator("#at-s_2")).to_contain_text("said it happened")
    assert heard.complaints == []


def test_text_is_read_while_it_is_written(
    owner: Page, heard: Listener, account: Account, model: SlowModel
) -> None:
    run = start(account, "Story", plans.agent("s_1", "Tell me"))
    watch(owner, account, run, "s_1")

    expect(owner.locator(".stream")).to_have_text(FIRST, timeout=10_000)
    assert account.run(run)["state"] == "running"

    model.go_on()
    expect(owner.locator("#pane")).to_contain_text(FIRST + REST, timeout=10_000)
    expect(owner.locator("#run-head")).to_contain_text("Done")
    assert heard.complaints == []


def test_the_page_ends_right_though_the_web_was_killed(owner: Page, account: Account) -> None:
    run = start(account, "Killed", plans.wait("s_1", 4))
    watch(owner, account, run)
    expect(owner.locator(".side [data-live-state]")).to_have_text("Live updates on")
    owner.evaluate("window.sameAsBefore = true")

    account.house.kill("web")
    account.until_over(run)  # asked over and over, so the web is back as well

    expect(owner.locator("#run-head")).to_contain_text("Done", timeout=IN_TIME_MS)
    assert owner.evaluate("window.sameAsBefore")


def test_without_sockets_the_page_asks_until_the_run_is_over(owner: Page, account: Account) -> None:
    # Playwright's routes do not see sockets of a page; this one refuses them all.
    owner.route_web_socket("**/socket.io/**", lambda socket: socket.close())
    run = start(account, "No sockets", plans.wait("s_1", 5))
    watch(owner, account, run)
    expect(owner.locator(".side [data-live-state]")).to_have_text("Checking every 2 s")

    account.until_over(run)

    expect(owner.locator("#run-head")).to_contain_text("Done", timeout=IN_TIME_MS)


def test_a_run_is_cancelled_from_its_page(owner: Page, heard: Listener, account: Account) -> None:
    watch(owner, account, start(account, "Too long", plans.wait("s_1", 3600)))

    owner.get_by_role("button", name="Cancel run").click()

    expect(owner.locator("#run-head")).to_contain_text("Cancelled", timeout=10_000)
    expect(owner.get_by_text("This run was cancelled")).to_be_visible()
    assert heard.complaints == []


def test_two_browsers_show_the_same(enter: Callable[..., Page], account: Account) -> None:
    pages = [enter(), enter()]
    run = start(account, "Two watch", plans.wait("s_1", 2))
    for page in pages:
        watch(page, account, run)

    for page in pages:
        expect(page.locator("#run-head")).to_contain_text("Done", timeout=15_000)
    assert final(pages[0]) == final(pages[1])


def test_a_failed_step_is_tried_again_by_keyboard(
    owner: Page, heard: Listener, account: Account
) -> None:
    run = start(account, "Refused", plans.text("s_1", "Hi", "Greet"), plans.refused("s_2"))
    account.until_over(run)
    watch(owner, account, run)

    owner.get_by_role("link", name="Try the failed step again").press("Enter")
    expect(owner.get_by_role("heading", level=1)).to_have_text("Try step 2 “Read the orders” again")
    owner.get_by_role("button", name="Run again").press("Enter")

    expect(owner.locator("#run-head")).to_contain_text("Run again of run", timeout=10_000)
    expect(owner.locator("#run-head")).to_contain_text("Failed at step 2", timeout=10_000)
    expect(owner.locator("#at-s_1 .line__mark")).to_have_attribute("data-state", "reused")
    assert heard.complaints == []


def test_a_signal_is_sent_from_the_page_that_somebody_watches(
    owner: Page, heard: Listener, account: Account
) -> None:
    again = plans.rounds("s_9", 2, plans.hears("s_1", "paid"))
    watch(owner, account, start(account, "Paid twice", again))
    expect(owner.locator("#lines")).to_contain_text("Round 1 of at most 10", timeout=10_000)

    owner.get_by_label("What goes with it").fill("12.50")
    owner.get_by_role("button", name="Send the signal").press("Enter")
    expect(owner.locator("#lines")).to_contain_text("Round 2 of at most 10", timeout=10_000)
    owner.get_by_role("button", name="Send the signal").press("Enter")

    expect(owner.locator("#run-head")).to_contain_text("Done", timeout=15_000)
    assert heard.complaints == []


def test_a_workflow_is_rehearsed_from_its_form(
    owner: Page, heard: Listener, account: Account, silent: Silent
) -> None:
    workflow = account.make_workflow("Order", plans.plan(plans.order("s_1", silent.url)))
    owner.goto(f"{account.home}/workflows/{workflow}/run")

    owner.get_by_role("button", name="Rehearse").press("Enter")

    expect(owner.locator("#run-head")).to_contain_text("This is a rehearsal")
    expect(owner.locator("#run-head")).to_contain_text("Done", timeout=15_000)
    expect(owner.locator("#would-send")).to_contain_text(f"POST {silent.url}")
    assert heard.complaints == []


def test_failed_runs_are_run_again_together(owner: Page, heard: Listener, account: Account) -> None:
    workflow = account.make_workflow("Lost", plans.plan(plans.refused("s_1")))
    account.until_over(account.start(workflow))
    owner.goto(f"{account.home}/runs")

    owner.get_by_role("link", name="Why runs failed").press("Enter")
    owner.get_by_role("row").filter(has_text="Lost").get_by_role("checkbox").check()
    owner.get_by_role("button", name="Run the ticked again").press("Enter")
    expect(owner.get_by_role("heading", level=1)).to_have_text("Run 1 failed run again")
    owner.get_by_role("button", name="Run 1 failed run again").press("Enter")

    expect(owner.locator("body")).to_contain_text("1 run is started")
    assert heard.complaints == []
