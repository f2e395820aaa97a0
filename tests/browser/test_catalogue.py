"""Every piece of the pages holds WCAG 2.2 AA, in both themes, on a phone and on a desk."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import look
from tests.browser.small_app import ROOT, SmallApp

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("complaints")]

# Errors that no test brings about in the whole product, and every piece unfolded.
PAGES = {
    "pieces": "admin/ui",
    "error-403": "errors/page?p=403",
    "error-404": "errors/page?p=404",
    "error-429": "errors/page?p=429",
    "error-500": "errors/page?p=500",
    "error-503": "errors/page?p=503",
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_never_scrolls_sideways(
    page: Page, small_app: SmallApp, name: str
) -> None:
    page.emulate_media(reduced_motion="reduce")  # or colors are measured on their way
    page.goto(f"{small_app.url}/{PAGES[name]}")
    page.evaluate("for (const fold of document.querySelectorAll('main details')) fold.open = true")

    assert look(page, name) == []


def test_every_macro_is_shown_in_the_catalogue() -> None:
    """Directly, or as a piece of another macro or of the frame."""
    acts_on_its_page = {"refresh", "summary"}  # one loads it again, the other takes the focus
    files = [*ROOT.glob("templates/shared/*.html"), *ROOT.glob("templates/layouts/*.html")]
    text = "".join(f.read_text() for f in [*files, ROOT / "templates/admin/ui.html"])
    names = re.findall(r"{% macro ([a-z]\w*)\(", text)
    calls = Counter(re.findall(r"(?<!macro )\b([a-z]\w*)\(", text))

    assert [name for name in names if not calls[name] and name not in acts_on_its_page] == []


def test_without_script_everything_is_there_and_nothing_is_dead(
    browser: Any, small_app: SmallApp
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{small_app.url}/admin/ui")

    expect(page.get_by_role("button", name="Copy key")).to_be_hidden()
    expect(page.get_by_role("button", name="Show password")).to_be_hidden()
    expect(page.get_by_role("button", name="Save this step")).to_be_visible()
    context.close()


@pytest.mark.parametrize("reader", ["swagger", "redoc"])
def test_the_api_description_can_be_read_under_our_policy(
    page: Page, small_app: SmallApp, reader: str, complaints: list[str]
) -> None:
    page.goto(f"{small_app.url}/{'redoc' if reader == 'redoc' else 'docs'}")

    expect(page.get_by_text("List what there is").first).to_be_visible(timeout=15_000)
    # ReDoc asks for its maker's logo; the policy stops it, which is what we want.
    complaints[:] = [text for text in complaints if "logo-mini.svg" not in text]
