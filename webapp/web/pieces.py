"""The smallest pieces of pages, made so that a list may hold hundreds of them.

The files of templates/shared are imported without the context of the page: they are run once a
process, and what they need of the request they ask for with a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from flask import Flask
from markupsafe import Markup, escape

from webapp.web.formats import NOTHING, machine_time, moment, when

Piece = Callable[..., str]


def init_app(app: Flask, zone: Callable[[], str]) -> None:
    """Give templates `icon`, `menu`, `time`, `zone` and `kept`.

    Args:
        zone: returns the time zone of whoever looks at the page.
    """

    def time(at: datetime | None, relative: bool = True) -> str:
        return time_tag(at, zone(), relative) if at else NOTHING

    changes = app.debug or app.config.get("TEMPLATES_AUTO_RELOAD")
    keep = _as_it_is if changes else _keep
    pieces = _Pieces(app.jinja_env.globals, keep)
    given = {"icon": pieces.icon, "menu": pieces.menu, "time": time, "zone": zone, "kept": keep}
    app.jinja_env.globals.update(given)


class _Pieces:
    """Pieces whose markup is joined by hand: fifty menus cost as much as the rest of their list.

    Args:
        given: what templates are given: `asset`, `csrf_field` and `once_field` are asked for.
    """

    def __init__(self, given: Mapping[str, Any], keep: Callable[[Piece], Piece]) -> None:
        self._given = given
        self.icon = keep(self._icon)

    def _icon(self, name: str, class_: str = "") -> str:
        more = f" {class_}" if class_ else ""
        href = f"{self._given['asset']('icons.svg')}#{name}"
        return _markup(
            f'<svg class="icon{escape(more)}" aria-hidden="true"><use href="{escape(href)}"/></svg>'
        )

    def menu(self, name: str, items: Sequence[Any], label: str = "", start: bool = False) -> str:
        """Write a menu, folded. What its items are stands in templates/shared/ui.html."""
        icon = self.icon
        if label:
            head = f'class="btn btn--small">{escape(label)}{icon("down", "icon--s")}'
        else:
            head = (
                f'class="icon-btn">{icon("more")}<span class="vh">Actions for {escape(name)}</span>'
            )
        more = " menu__list--start" if start else ""
        return _markup(
            f'<details class="menu"><summary {head}</summary><div class="menu__list{more}">'
            f"{''.join([self._menu_item(item) for item in items])}</div></details>"
        )

    def _menu_item(self, item: Any) -> str:
        if item == "-":
            return "<hr>"
        look = ' class="menu__bad"' if item.get("danger") else ""
        look += f' data-key="{escape(item["key"])}"' if item.get("key") else ""
        shown = f"{self.icon(item['icon']) if item.get('icon') else ''}{escape(item['label'])}"
        if item.get("href"):
            return f'<a href="{escape(item["href"])}"{look}>{shown}</a>'
        button = _menu_button(item, look, shown)
        if not item.get("url"):
            return button
        hidden = "".join(
            f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">'
            for key, value in item.get("fields", {}).items()
        )
        secrets = f"{self._given['csrf_field']()}{self._given['once_field']()}"
        return (
            f'<form method="post" action="{escape(item["url"])}">{secrets}{hidden}{button}</form>'
        )


def _menu_button(item: Mapping[str, Any], look: str, shown: str) -> str:
    sends = f' form="{escape(item["form"])}"' if item.get("form") else ""
    if item.get("name"):
        sends += f' name="{escape(item["name"])}" value="{escape(item.get("value", ""))}"'
    if item.get("row_key"):
        look += f' data-row-key="{escape(item["row_key"])}"'
    if item.get("why"):
        look += f' aria-disabled="true" title="{escape(item["why"])}"'
    keys = f'<kbd class="kbd">{escape(item["kbd"])}</kbd>' if item.get("kbd") else ""
    return f'<button type="submit"{sends}{look}>{shown}{keys}</button>'


def _markup(text: str) -> Markup:
    return Markup(text)  # noqa: S704  # every part from outside was escaped where it was put in


@lru_cache(4096)
def time_tag(at: datetime, zone: str, relative: bool) -> Markup:
    """Write a moment, absolute; the script says "3 min ago" when it is relative."""
    mark = " data-relative" if relative else ""
    return _markup(
        f'<time datetime="{machine_time(at)}" title="{escape(moment(at, zone))}"{mark}>'
        f"{when(at, zone)}</time>"
    )


def _keep(piece: Piece) -> Piece:
    """Make each form of a piece once a process. Only for macros whose arguments say it all.

    A text and markup that read the same are different arguments, or one would be shown unescaped.
    """
    return lru_cache(maxsize=512, typed=True)(piece)


def _as_it_is(piece: Piece) -> Piece:
    return piece
