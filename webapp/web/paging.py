"""Long lists, a page at a time: "what comes after this one", never "skip 5,000"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from flask import request

from webapp.kernel.asking import MOST_ITEMS as MOST
from webapp.kernel.asking import USUAL_ITEMS as USUAL
from webapp.kernel.asking import Listed
from webapp.kernel.errors import BadRequest, Invalid, NotFound, field_error
from webapp.kernel.ids import parse_id, public_id

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursor of the page after them."""

    items: Sequence[T]
    next: str | None

    def json(self, show: Callable[[T], Any]) -> dict[str, Any]:
        """Return what lists of the API answer."""
        return {"items": [show(item) for item in self.items], "next": self.next}

    def next_url(self) -> str | None:
        """Return this page's address with the next cursor, filters kept."""
        if self.next is None:
            return None
        kept = {k: v for k, v in request.args.items(multi=True) if k not in {"after", "part"}}
        return f"{request.path}?{urlencode(kept | {'after': self.next})}"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page is asked for: `limit` rows after the row `after` (None: from the start)."""

    limit: int
    after: UUID | None

    def page(self, rows: Iterable[T], prefix: str, id_of: Callable[[T], UUID]) -> Page[T]:
        """Make the page of up to `limit + 1` rows; the one too many proves that more follow."""
        found = list(rows)
        shown = found[: self.limit]
        more = len(found) > self.limit
        return Page(shown, public_id(prefix, id_of(shown[-1])) if more and shown else None)


def asked(prefix: str) -> Asked:
    """Return the page that `?limit=` and `?after=` (or `?cursor=`) ask for.

    Raises:
        Invalid: the limit is no number from 1 to 200.
        BadRequest: the cursor is none that a list gave out.
    """
    return Asked(_limit(), _after(prefix))


def asked_by(query: Listed, prefix: str) -> Asked:
    """Return the page that an API query asks for."""
    after = query.after or query.cursor
    return Asked(query.limit, parse_id(prefix, after) if after else None)


def _limit() -> int:
    given = request.args.get("limit")
    if given is None:
        return USUAL
    if not (given.isascii() and given.isdecimal() and len(given) < 5 and 1 <= int(given) <= MOST):
        raise Invalid([field_error("/limit", "E-FIELD-RANGE", what="limit", least=1, most=MOST)])
    return int(given)


def _after(prefix: str) -> UUID | None:
    given = request.args.get("after") or request.args.get("cursor")
    if not given:
        return None
    try:
        return parse_id(prefix, given)
    except NotFound:
        raise BadRequest(
            "E-BAD-REQUEST", reason="This is no cursor of this list. Take `next` as it was given."
        ) from None
