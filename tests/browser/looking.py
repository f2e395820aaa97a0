"""Look at a page in both themes, on a phone and on a desk, and keep what was seen.

Pictures go to build/screenshots, with an index.html that shows them all beside each other.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Page

Theme = Literal["light", "dark"]

ROOT = Path(__file__).resolve().parents[2]
AXE = (ROOT / "node_modules/axe-core/axe.min.js").read_text()
SHOTS = ROOT / "build/screenshots"
WIDTHS = (320, 1280)
MOST_PX = 14_000
"""Chromium paints no picture higher than 16,384; only the reader of the whole API is."""
THEMES: tuple[Theme, ...] = ("light", "dark")
# A theme changes colors and nothing else, so the second one is asked about colors only.
COLORS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
# The readers of the API are drawn by script, ReDoc anew for each theme.
IS_DRAWN = """() => {
  const title = document.querySelector("#api h1");
  return title && getComputedStyle(title).color === getComputedStyle(document.body).color;
}"""


def violations(page: Page, **options: Any) -> list[str]:
    """Return what axe finds in the whole page."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE)
    asked = {"resultTypes": ["violations"], "preload": False, **options}
    found: list[dict[str, Any]] = page.evaluate(
        "async (asked) => (await axe.run(document, asked)).violations", asked
    )
    return [f"{v['id']}: {n['html'][:300]}" for v in found for n in v["nodes"]]


def fit(page: Page, width: int) -> None:
    """Give the window the page's height, so that bars at its edges lie over nothing."""
    page.set_viewport_size({"width": width, "height": 900})
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": min(max(height, 900), MOST_PX)})
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")


def look(page: Page, name: str) -> list[str]:
    """Return what is wrong with the page as it stands, in each width and theme."""
    wrong = []
    is_reader = bool(page.locator("#api").count())
    for theme in THEMES:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # colors at rest
        if is_reader:
            page.wait_for_function(IS_DRAWN)
        for width in WIDTHS:
            fit(page, width)
            options = {} if theme == "light" else COLORS
            wrong += [f"{theme} {width} {one}" for one in violations(page, **options)]
            reach = page.evaluate("document.documentElement.scrollWidth")
            wrong += [f"{width} scrolls sideways: {reach}"] if reach > width else []
            _keep(page, f"{name}-{theme}-{width}")
    return wrong


def _keep(page: Page, name: str) -> None:
    page.screenshot(path=SHOTS / f"{name}.jpg", type="jpeg", quality=80)


def write_index() -> None:
    """Write the page that shows all pictures: a row for each state, a column for each view."""
    views = [f"{theme}-{width}" for width in WIDTHS for theme in THEMES]
    names = sorted({path.stem.rsplit("-", 2)[0] for path in SHOTS.glob("*-*-*.jpg")})
    rows = "".join(
        f"<h2>{escape(name)}</h2><div>{''.join(map(_picture, [f'{name}-{v}' for v in views]))}</div>"
        for name in names
    )
    style = (
        "body{font:16px sans-serif;margin:2rem;background:#888}div{display:flex;gap:1rem;"
        "align-items:start}img{max-height:40rem;max-width:40rem;object-fit:cover;object-position:top}"
    )
    head = f"<!doctype html><meta charset=utf-8><title>{len(names)} states</title>"
    SHOTS.mkdir(parents=True, exist_ok=True)
    (SHOTS / "index.html").write_text(f"{head}<style>{style}</style>{rows}\n")


def _picture(stem: str) -> str:
    file = escape(f"{stem}.jpg")
    return f'<a href="{file}"><img src="{file}" alt="{file}" loading="lazy"></a>'
