from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Page

from tests.browser.looking import write_index
from tests.browser.small_app import SmallApp

# What a browser says by itself about an answer that a test wanted.
WANTED = ("Failed to load resource", "Response Status Error Code", "WebSocket connection", "htmx:")


@pytest.fixture(scope="session")
def base_url() -> None:
    """Replace the plugin's own, which pytest calls deprecated; tests name whole addresses."""


@pytest.fixture(scope="session", autouse=True)
def index() -> Iterator[None]:
    """Write the page that shows every picture the tests took."""
    yield
    write_index()


@pytest.fixture
def small_app() -> Iterator[SmallApp]:
    app = SmallApp()
    yield app
    app.close()


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """Fail the test when the browser complains: broken script, or a blocked style."""
    found: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(WANTED):
            found.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert found == []
