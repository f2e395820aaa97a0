"""A rehearsal: what it would have sent, as its journal keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.runs import journal_queries, queries
from webapp.runs.doubting import Pairs, in_pairs, place_in_words
from webapp.runs.families import family
from webapp.runs.paths import Places, element_id
from webapp.runs.queries import RunRow

KIND: Final = "rehearsal"
MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Unsent:
    """One thing that a rehearsal only wrote down.

    Attributes:
        what: the frozen request by names; secrets are never in it.
    """

    path: str
    name: str
    what: Pairs

    @property
    def id(self) -> str:
        return element_id(self.path)

    @property
    def title(self) -> str:
        """Return the request line, or what is used: "POST https://shop.example/orders"."""
        return str(self.what[0][1])[:300] if self.what else ""


@requires(Permission.VIEW_RUNS)
def would_have_sent(ctx: Context, row: RunRow, places: Places) -> list[Unsent]:
    """Return what a run would have sent, in the order of its journal, at most 500; nothing for a
    run that is no rehearsal.
    """
    if row.run.kind != KIND:
        return []
    found = []
    for step in journal_queries.unsent_steps(ctx, family(ctx, row.run.id), MOST):
        result = queries.result_of(ctx, step)
        said = result.get("would_send") if isinstance(result, dict) else None
        if said is not None:
            found.append(Unsent(step.path, place_in_words(step.path, places), in_pairs(said)))
    return found


def as_rows(unsent: list[Unsent]) -> list[dict[str, Any]]:
    """Return the list as a table: the step, its path, and each part under its name."""
    return [{"step": one.name, "path": one.path} | dict(one.what) for one in unsent]
