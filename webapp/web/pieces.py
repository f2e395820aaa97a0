"""The smallest pieces of pages, made so that a list may hold hundreds of them.

The files of templates/shared are imported without the context of the page: they are run once a
process, and what they need of the request they ask for with a function.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from flask import Flask
from markupsafe import Markup, escape

from webapp.web.formats import NOTHING, machine_time, moment, when

Piece = Callable[..., str]


def init_app(app: Flask, zone: Callable[[], str]) -> None:
    """Give templates `time`, `zone` and `kept`.

    Args:
        zone: returns the time zone of whoever looks at the page.
    """

    def time(at: datetime | None, relative: bool = True) -> str:
        return time_tag(at, zone(), relative) if at else NOTHING

    changes = app.debug or app.config.get("TEMPLATES_AUTO_RELOAD")
    keep = _as_it_is if changes else _keep
    app.jinja_env.globals.update(time=time, zone=zone, kept=keep)


@lru_cache(4096)
def time_tag(at: datetime, zone: str, relative: bool) -> Markup:
    """Write a moment, absolute; the script says "3 min ago" when it is relative."""
    mark = " data-relative" if relative else ""
    return Markup(  # noqa: S704  # the zone is the only part that comes from outside
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
