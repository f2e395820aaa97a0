"""What running again would mean, as its check page shows it: what stays, what was sent already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.recovery import CALL
from webapp.runs import journal_queries
from webapp.runs.again import Again
from webapp.runs.doubting import Pairs, place_in_words, sent
from webapp.runs.paths import Places, element_id
from webapp.runs.taking_over import Sent

MOST_SHOWN: Final = 100
MOST_CALLS: Final = 200


@dataclass(frozen=True, slots=True)
class SentView:
    """One step that has had an effect.

    Attributes:
        what: the frozen request by names; of an agent each of its tool calls.
        doubtful: nobody knows whether it happened; gave: it ended well, so that what it gave is
            there for later steps when it is skipped.
    """

    id: str
    path: str
    name: str
    at: datetime | None
    what: list[Pairs]
    doubtful: bool
    gave: bool
    calls: int


@dataclass(frozen=True, slots=True)
class AgainView:
    """What templates/runs/again.html asks.

    Attributes:
        place: "step 2 “Order paper”"; "" is the beginning.
        left: how many steps more have had an effect than are shown; these are skipped.
        live: the number of the version that is live, if it is another one than the run's.
        by_live: whether that is what the new run would go by; differ: in how many steps it
            differs; refused: why it can't be.
    """

    start: str
    place: str
    failed_here: bool
    kept: int
    sent: list[SentView] = field(default_factory=list)
    left: int = 0
    live: int | None = None
    by_live: bool = False
    differ: int = 0
    refused: str = ""

    @property
    def has_items(self) -> bool:
        """Whether something that was sent belongs to an item of a list, which may have changed."""
        return any("[" in one.path for one in self.sent)

    @property
    def title(self) -> str:
        if not self.place:
            return "Run again from the beginning"
        return f"Try {self.place} again" if self.failed_here else f"Run again from {self.place}"


@requires(Permission.VIEW_RUNS)
def again_view(ctx: Context, found: Again, places: Places, refused: str = "") -> AgainView:
    """Return the check page of what `again.preview` has found."""
    shown = found.sent[:MOST_SHOWN]
    rows, calls = _asked(ctx, shown)
    views = [
        SentView(
            element_id(one.path),
            one.path,
            place_in_words(one.path, places),
            _when(calls.get(one.path) or [rows.get(one.path)]),
            _what(calls.get(one.path) or [rows.get(one.path)]),
            one.doubtful,
            one.path in rows and rows[one.path].state in {"succeeded", "reused", "skipped"},
            one.calls,
        )
        for one in shown
    ]
    error = found.run.error or {}
    return AgainView(
        found.start,
        place_in_words(found.start, places) if found.start else "",
        found.run.state == "failed" and bool(found.start) and error.get("path") == found.start,
        found.kept,
        views,
        len(found.sent) - len(shown),
        found.live,
        bool(refused) or found.basis.version_id != found.run.version_id,
        len(found.basis.changed),
        refused,
    )


def _asked(ctx: Context, shown: Sequence[Sent]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return what these steps have sent, and the calls of agents among them, by path."""
    whose = {one.path: one.run_id for one in shown}
    runs = set(whose.values())
    found = journal_queries.requests_at(ctx, runs, list(whose))
    rows = {row.path: row for row in found if row.run_id == whose[row.path]}
    calls: dict[str, list[Any]] = {}
    if any(one.calls for one in shown):
        for call in journal_queries.sent_calls(ctx, runs, MOST_CALLS):
            path = call.path.rpartition(CALL)[0]
            if call.run_id == whose.get(path):
                calls.setdefault(path, []).append(call)
    return rows, calls


def _when(rows: Sequence[Any]) -> datetime | None:
    moments = [row.done_at or row.started_at for row in rows if row is not None]
    return max((at for at in moments if at is not None), default=None)


def _what(rows: Sequence[Any]) -> list[Pairs]:
    return [pairs for row in rows if row is not None and (pairs := sent(row.request))]
