"""Reads of a run's journal for its page: bounded, whatever the run has done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, exists, func, null, or_, select
from sqlalchemy.orm import aliased

from webapp.access.context import Context
from webapp.runs.models import PART, Event, Run, Step
from webapp.runs.queries import SHOWN, result_of

_MOST_IN_A_COMMIT = 300
"""Events; a commit with more of them ends before what is looked for."""


def shown_steps(
    ctx: Context, run_id: UUID, paths: Sequence[str], chosen: str, failed_most: int
) -> Sequence[Any]:
    """Return every attempt at these paths and at what fails or works in items, by path.

    The values (`result`, `request`) come with the path `chosen` only: they may be large.
    """
    here = (Step.run_id == run_id, Step.organization_id == ctx.organization_id)
    repeated = or_(Step.path.contains("["), Step.path.contains("#"))
    in_items = (
        select(Step.path)
        .where(*here, Step.state.in_(["failed", "intent", "unknown"]), repeated)
        .limit(failed_most)
    )
    is_chosen = Step.path == chosen
    query = (
        select(
            *SHOWN,
            Step.result_file,
            case((is_chosen, Step.result), else_=null()).label("result"),
            case((is_chosen, Step.request), else_=null()).label("request"),
        )
        .where(*here, or_(Step.path.in_(paths), Step.path.in_(in_items)))
        .order_by(Step.path, Step.attempt)
    )
    return ctx.session.execute(query).all()


def item_counts(ctx: Context, runs: Collection[UUID]) -> Sequence[Any]:
    """Return (list, step id, state, waits, rows, cost) of everything that lies in items.

    "list" is the path of the outermost `each`.
    """
    on_sqlite = ctx.session.get_bind().dialect.name == "sqlite"
    place = func.instr(Step.path, "[") if on_sqlite else func.strpos(Step.path, "[")
    each = func.substr(Step.path, 1, place - 1)
    waits = Step.due_at.is_not(None)
    inner = (
        select(
            each.label("each"),
            Step.step_id.label("step_id"),
            Step.state.label("state"),
            waits.label("waits"),
            (Step.kind == PART).label("is_part"),
            Step.cost_nano.label("cost_nano"),
        )
        .where(Step.run_id.in_(runs), Step.organization_id == ctx.organization_id, place > 0)
        .subquery()
    )
    key = (inner.c.each, inner.c.step_id, inner.c.state, inner.c.waits, inner.c.is_part)
    query = select(*key, func.count(), func.sum(inner.c.cost_nano)).group_by(*key)
    return ctx.session.execute(query).all()


def results_at(ctx: Context, run_id: UUID, paths: Sequence[str]) -> dict[str, Any]:
    """Return what the steps at these paths gave, by path."""
    query = select(Step.path, Step.result, Step.result_file).where(
        Step.run_id == run_id,
        Step.organization_id == ctx.organization_id,
        Step.path.in_(paths),
        Step.state.in_(["succeeded", "reused"]),
    )
    return {row.path: result_of(ctx, row) for row in ctx.session.execute(query)}


def notes_of(ctx: Context, run_id: UUID, path: str, seq: int) -> list[str]:
    """Return the sentences that the end of a step was told with.

    Args:
        seq: of the step's row, which is the last event of the commit that wrote it.
    """
    query = (
        select(Event.data)
        .where(
            Event.run_id == run_id,
            Event.organization_id == ctx.organization_id,
            Event.seq.between(seq - _MOST_IN_A_COMMIT, seq),
            Event.type.in_(["step.done", "step.failed"]),
        )
        .order_by(Event.seq.desc())
    )
    for told in ctx.session.scalars(query):
        if told.get("path") == path:
            return [str(note) for note in told.get("notes", [])]
    return []


def calls_of(ctx: Context, run_id: UUID, path: str, most: int = 100) -> Sequence[Step]:
    """Return the tool calls inside an agent's step, in order."""
    query = (
        select(Step)
        .where(Step.run_id == run_id, Step.path.startswith(f"{path}/call_", autoescape=True))
        .order_by(Step.seq)
        .limit(most)
    )
    return ctx.session.scalars(query).all()


HAPPENED = ("succeeded", "reused", "unknown", "intent")
"""States of a step whose effect was there, or may have been."""
CUT_OFF_REASONS = ("not_needed", "failed_before")
"""Why a step is skipped that may have been at work when something around it ended."""


def requests_at(ctx: Context, runs: Collection[UUID], paths: Sequence[str]) -> Sequence[Any]:
    """Return of each run the newest attempt at each path with its frozen request, without its
    result.
    """
    newest = (
        select(Step.run_id, Step.path, func.max(Step.attempt).label("attempt"))
        .where(Step.run_id.in_(runs), Step.path.in_(paths))
        .group_by(Step.run_id, Step.path)
        .subquery()
    )
    same = (Step.run_id == newest.c.run_id) & (Step.path == newest.c.path)
    columns = (Step.run_id, Step.path, Step.state, Step.request, Step.started_at, Step.done_at)
    query = (
        select(*columns)
        .join(newest, same & (Step.attempt == newest.c.attempt))
        .where(Step.run_id.in_(runs), Step.organization_id == ctx.organization_id)
    )
    return ctx.session.execute(query).all()


def sent_calls(ctx: Context, runs: Collection[UUID], most: int) -> Sequence[Any]:
    """Return the tool calls of agents that have had an effect, with their frozen requests."""
    columns = (Step.run_id, Step.path, Step.state, Step.request, Step.started_at, Step.done_at)
    query = (
        select(*columns)
        .where(
            Step.run_id.in_(runs),
            Step.organization_id == ctx.organization_id,
            Step.path.contains("/call_", autoescape=True),
            Step.effect != "none",
            Step.state.in_(HAPPENED),
        )
        .order_by(Step.path)
        .limit(most)
    )
    return ctx.session.execute(query).all()


def count_sent(ctx: Context, run_id: UUID) -> int:
    """Return how much a run has sent outside, its parts and the runs that it has started too."""
    query = select(func.count()).where(
        Step.organization_id == ctx.organization_id,
        Step.run_id.in_(_below(ctx, [run_id])),
        Step.effect != "none",
        Step.kind != "workflow",  # what it starts counts by itself
        Step.state == "succeeded",
    )
    return ctx.session.scalar(query) or 0


def arrived_perhaps(ctx: Context, run_id: UUID, most: int) -> Sequence[Any]:
    """Return attempts with an effect that came to no good end, of the run and all below it.

    What went well in a later attempt is left out.
    """
    later = aliased(Step)
    went_well = exists().where(
        later.run_id == Step.run_id, later.path == Step.path, later.state == "succeeded"
    )
    query = (
        select(Step.state, Step.error)
        .where(
            Step.organization_id == ctx.organization_id,
            Step.run_id.in_(_below(ctx, [run_id])),
            Step.effect != "none",
            Step.kind != "workflow",
            Step.state.in_(("failed", "cancelled", "skipped", "unknown")),
            Step.request.is_not(None),
            ~went_well,
        )
        .limit(most)
    )
    return ctx.session.execute(query).all()


def _below(ctx: Context, runs: Collection[UUID]) -> Select[Any]:
    """Return the ids of these runs, their parts, and the runs that they have started."""
    here = Run.organization_id == ctx.organization_id
    below = select(Run.id).where(here, Run.id.in_(runs)).cte(recursive=True)
    below = below.union(select(Run.id).where(here).join(below, Run.parent_run == below.c.id))
    return select(below.c.id)


def unsent_steps(ctx: Context, runs: Collection[UUID], most: int) -> Sequence[Any]:
    """Return the steps and calls that would have had an effect, with what they gave: of these runs
    and all below them, run by run in the order in which these were started.
    """
    query = (
        select(Step.run_id, Step.path, Step.result, Step.result_file)
        .where(
            Step.run_id.in_(_below(ctx, runs)),
            Step.organization_id == ctx.organization_id,
            Step.effect != "none",
            Step.kind != "workflow",  # what it starts says so itself
            Step.state.in_(("succeeded", "reused")),
        )
        .order_by(Step.run_id, Step.seq, Step.path)
        .limit(most)
    )
    return ctx.session.execute(query).all()


def origins(ctx: Context, runs: Collection[UUID]) -> Sequence[Any]:
    """Return of these runs what they are runs of, and which runs they belong to."""
    columns = (Run.id, Run.kind, Run.parent_run, Run.workflow_id, Run.version_id)
    query = select(*columns).where(Run.organization_id == ctx.organization_id, Run.id.in_(runs))
    return ctx.session.execute(query).all()


def reused_calls(ctx: Context, runs: Collection[UUID], most: int) -> Sequence[Any]:
    """Return what those steps gave, of these runs and all below them, that had started a run in
    one that is repeated.
    """
    query = (
        select(Step.result, Step.result_file)
        .where(
            Step.run_id.in_(_below(ctx, runs)),
            Step.organization_id == ctx.organization_id,
            Step.kind == "workflow",
            Step.state == "reused",
        )
        .limit(most)
    )
    return ctx.session.execute(query).all()
