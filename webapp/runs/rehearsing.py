"""A rehearsal: what it would have sent, as its journal keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.kernel.ids import parse_id
from webapp.runs import journal_queries, queries
from webapp.runs.approvals_words import GONE
from webapp.runs.doubting import Pairs, in_pairs, place_in_words
from webapp.runs.families import family
from webapp.runs.paths import Places, element_id
from webapp.runs.queries import RunRow
from webapp.workflows.service import names

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
    requests: list[tuple[str, Any]] = []
    for step in journal_queries.unsent_steps(ctx, family(ctx, row.run.id), MOST):
        result = queries.result_of(ctx, step)
        said = result.get("would_send") if isinstance(result, dict) else None
        if said is not None:
            requests.append((step.path, said))
    return [
        Unsent(path, place_in_words(path, places), in_pairs(said))
        for path, said in _by_names(ctx, requests)
    ]


def _by_names(ctx: Context, requests: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Say the name of each workflow that would have been started, and say it first."""
    ids = {said["workflow"] for _, said in requests if _starts(said)}
    named = names(ctx, [parse_id("wf", one) for one in ids]) if ids else {}

    def told(said: Any) -> Any:
        if not _starts(said):
            return said
        name = named.get(parse_id("wf", said["workflow"]), GONE)
        return {"workflow": name} | {key: said[key] for key in said if key != "workflow"}

    return [(path, told(said)) for path, said in requests]


def _starts(said: Any) -> bool:
    return isinstance(said, dict) and {"workflow", "inputs"} <= said.keys()


def as_rows(unsent: list[Unsent]) -> list[dict[str, Any]]:
    """Return the list as a table: the step, its path, and each part under its name."""
    return [{"step": one.name, "path": one.path} | dict(one.what) for one in unsent]
