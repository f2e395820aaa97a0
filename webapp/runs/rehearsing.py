"""A rehearsal: what it would have sent, as its journal and those of the runs below it keep it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.kernel.ids import parse_id, public_id
from webapp.runs import journal_queries, queries
from webapp.runs.approvals_words import GONE
from webapp.runs.doubting import Pairs, in_pairs, place_in_words
from webapp.runs.families import wholes_of
from webapp.runs.paths import Places, element_id
from webapp.runs.queries import RunRow
from webapp.runs.watching import places_of
from webapp.workflows.service import names

KIND: Final = "rehearsal"
MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Unsent:
    """One thing that a rehearsal only wrote down.

    Attributes:
        run: whose step it is; is_called: whether that is a run that a step has started.
        what: the frozen request by names; secrets are never in it.
    """

    run: str
    path: str
    name: str
    what: Pairs
    is_called: bool = False

    @property
    def id(self) -> str:
        return element_id(self.path)

    @property
    def title(self) -> str:
        """Return the request line, or what is used: "POST https://shop.example/orders"."""
        return str(self.what[0][1])[:300] if self.what else ""


@dataclass(frozen=True, slots=True)
class Called:
    """The run of another workflow that a step has started; its parts are one with it."""

    run_id: UUID
    workflow_name: str
    places: Places


@requires(Permission.VIEW_RUNS)
def would_have_sent(ctx: Context, row: RunRow, places: Places) -> list[Unsent]:
    """Return what a run and all that it has started would have sent, run by run, at most 500;
    nothing for a run that is no rehearsal.
    """
    if row.run.kind != KIND:
        return []
    steps = journal_queries.unsent_steps(ctx, _with_reused(ctx, row.run.id), MOST)
    called = _called(ctx, row.run.id, {step.run_id for step in steps})
    found = []
    for step in steps:
        result = queries.result_of(ctx, step)
        said = result.get("would_send") if isinstance(result, dict) else None
        if said is None:
            continue
        if (below := called.get(step.run_id)) is None:
            found.append(_unsent(row.run.id, step.path, places, said))
        else:
            one = _unsent(below.run_id, step.path, below.places, said)
            name = f"{one.name} of {below.workflow_name}"
            found.append(replace(one, name=name, is_called=True))
    return found


def _unsent(run_id: UUID, path: str, places: Places, said: Any) -> Unsent:
    return Unsent(public_id("run", run_id), path, place_in_words(path, places), in_pairs(said))


def _with_reused(ctx: Context, run_id: UUID) -> set[UUID]:
    """Return the run with those that steps of earlier runs have started and that it goes on with.

    These do not stand below it.
    """
    runs, newest = {run_id}, {run_id}
    while newest:
        steps = journal_queries.reused_calls(ctx, newest, MOST)
        gave = [queries.result_of(ctx, step) for step in steps]
        named = [one["run"] for one in gave if isinstance(one, dict) and "run" in one]
        newest = {parse_id("run", one) for one in named} - runs
        runs |= newest
    return runs


def _called(ctx: Context, run_id: UUID, found: set[UUID]) -> dict[UUID, Called]:
    """Return what those of the found runs belong to that are neither the run nor parts of it."""
    if not (others := found - {run_id}):
        return {}
    runs = journal_queries.origins(ctx, others)
    wholes = wholes_of(ctx, runs)
    below = [run for run in runs if wholes[run.id] != run_id]
    workflows = {run.workflow_id for run in below}
    named = names(ctx, sorted(workflows)) if workflows else {}
    called = {}
    for run in below:
        name = named.get(run.workflow_id, GONE)
        places = places_of(ctx, RunRow(run, None, name, None))
        called[run.id] = Called(wholes[run.id], name, places)
    return called


def as_rows(unsent: list[Unsent]) -> list[dict[str, Any]]:
    """Return the list as a table: the step, its path and run, and each part under its name."""
    return [{"step": one.name, "path": one.path, "run": one.run} | dict(one.what) for one in unsent]
