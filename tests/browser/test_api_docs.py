"""Both readers of the API draw every route, under the policy of our pages and from our files."""

from __future__ import annotations

import pytest
from flask import Flask
from playwright.sync_api import Page

from tests.api.serving import served
from webapp.web.openapi import routes

ROWS = {"/docs": ".opblock", "/redoc": "[data-section-id*='operation/'], [id*='operation/']"}


@pytest.mark.browser
@pytest.mark.parametrize("address", ROWS)
def test_a_reader_draws_every_route(address: str, app: Flask, page: Page) -> None:
    asked: list[str] = []
    broken: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda said: broken.append(said.text) if said.type == "error" else None)

    with served(app) as url:
        page.goto(url + address)
        page.locator(ROWS[address]).nth(len(routes(app)) - 1).wait_for(state="attached")

    # ReDoc asks its maker for a logo; the policy stops that, and the browser says so.
    assert [text for text in broken if "cdn.redoc.ly" not in text] == []
    assert [one for one in asked if not one.startswith((url, "data:", "blob:"))] == [
        one for one in asked if "cdn.redoc.ly" in one
    ]
