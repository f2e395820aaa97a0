from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.product.people import Account, Listener, set_up
from tests.chaos.house import House

SET_UP_LINK = re.compile(r"(http://\S+/setup\?code=\S+)")


def set_up_link(house: House) -> str:
    """Return the link that `deckhand up` prints for the first person."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if found := SET_UP_LINK.search(house.log()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"no set-up link is printed\n{house.log()}")


@pytest.fixture(scope="session")
def build_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., House]]:
    """Return a function that starts a whole Deckhand on a new data folder."""
    standing: list[House] = []

    def build(**env: str) -> House:
        house = House(tmp_path_factory.mktemp("house"), workers=1)
        house.env.update(env)
        standing.append(house)
        house.boot()
        return house

    yield build
    for house in standing:
        if house.process and house.process.poll() is None:
            house.stop()


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """Settings of this module's Deckhand."""
    return {}


@pytest.fixture(scope="module")
def account(
    build_house: Callable[..., House], house_settings: dict[str, str], browser: Browser
) -> Iterator[Account]:
    """A Deckhand of this module's own, with its owner signed in and the example's run."""
    house = build_house(**house_settings)
    context = browser.new_context()
    page = context.new_page()
    set_up(page, set_up_link(house))
    slug, run = re.search(r"/o/([^/]+)/runs/(run_\w+)", page.url).groups()  # type: ignore[union-attr]
    yield Account(house, slug, run, context.storage_state())
    context.close()
    house.stop()


@pytest.fixture
def enter(account: Account, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a browser in which the owner is signed in already."""
    contexts: list[BrowserContext] = []

    def opened(signed_in: bool = True, **options: Any) -> Page:
        state = {"storage_state": account.state} if signed_in else {}
        context = browser.new_context(base_url=account.house.url, **state, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def owner(enter: Callable[..., Page]) -> Page:
    return enter()


@pytest.fixture
def heard(owner: Page) -> Listener:
    """What the owner's browser asked for and complained about."""
    return Listener(owner)
