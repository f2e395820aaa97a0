"""Run again from a step: a new run that takes over what an earlier one has done.

Terminal stays terminal: the old run never changes. What succeeded before the chosen step is kept
(`reused`), what failed is tried again, and what has had an effect is skipped unless a person says
that it shall be sent once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.engine.plan import Plan
from webapp.engine.reuse import steps_of
from webapp.kernel.clock import boot_id, now
from webapp.kernel.errors import Conflict, Invalid, field_error
from webapp.kernel.ids import new_id, public_id
from webapp.runs import queries, starting
from webapp.runs.bases import Basis, VersionChoice, basis_of
from webapp.runs.families import families, whole_of
from webapp.runs.journal_queries import HAPPENED
from webapp.runs.later import with_later
from webapp.runs.looking import plan_of_run
from webapp.runs.models import Lease, Run, Step
from webapp.runs.service import find_run_by_key
from webapp.runs.standing import PACE
from webapp.runs.taking_over import (
    Row,
    Sent,
    Taken,
    begin_with,
    journal_of,
    kept_of,
    rows_in,
    sent_in,
    taken_from,
)

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Again:
    """What running again from a step would mean.

    Attributes:
        kept: how many steps are taken over; sent: what would be sent twice, be it that the run
            itself sent it or a later repetition.
        basis: what the new run would go by.
        live: the number of the version that is live, if it is another one than the run's.
    """

    run: Run
    start: str
    kept: int
    sent: list[Sent]
    basis: Basis
    live: int | None


@requires(Permission.VIEW_RUNS)
def preview(ctx: Context, run_id: UUID, start: str, version: VersionChoice = "same") -> Again:
    """Say what running again from the step at `start` would take over and send twice; "" is
    the beginning.

    Args:
        version: the run's own, or the one that is live now.

    Raises:
        NotFound: no such run here.
        Invalid: the run has not reached such a step, or the live version has none, or asks for
            what the run was not given.
        Conflict: the run is not over, or nothing is live.
    """
    run, rows = _over(ctx, run_id, start)
    basis = basis_of(ctx, run, start, version)
    kept = kept_of(basis.plan, rows, start, basis.changed)
    known = with_later(ctx, run.id, rows)
    sent = sorted(sent_in(run, known, kept, basis.plan), key=_in_order_of(basis.plan))
    return Again(run, start, sum(1 for row in kept if row.ends), sent, basis, basis.live)


@requires(Permission.START_RUNS)
def run_again(
    ctx: Context,
    run_id: UUID,
    start: str,
    send_again: Iterable[str],
    version: VersionChoice = "same",
    *,
    key: str = "",
) -> Run:
    """Start a run that begins again from the step at `start`, with the inputs of the old one.

    Args:
        send_again: paths of effects that shall happen once more; the others are skipped, and
            keep the value they had.
        version: see `preview`.
        key: where it came from, once; made from the old run without it.

    Raises: see `preview`; LimitReached: too many runs wait; Conflict: the workflow runs only
        once at a time, and does.
    """
    if key and (earlier := find_run_by_key(ctx, key)) is not None:
        return earlier
    old, rows = _over(ctx, run_id, start)
    basis = basis_of(ctx, old, start, version)
    named = list(send_again)
    known = with_later(ctx, old.id, rows)
    taken = taken_from(old, rows, basis.plan, start, set(named), basis.changed, known=known)
    _check_sent(named, set(taken.sent))
    run = _begin(ctx, old, basis, taken, start, key)
    after = {"from": start, "new": public_id("run", run.id), "sent_again": sorted(set(named))[:20]}
    record(ctx, "run.again", public_id("run", old.id), after=after | {"version": basis.number})
    ctx.session.flush()
    return run


@requires(Permission.START_RUNS)
def start_again(ctx: Context, old: Run, start: str, *, send_all: bool, due_ms: int | None) -> Run:
    """Start a run that begins again where many do: nobody is asked about each effect.

    Args:
        send_all: whether all that was sent behind `start` is sent once more.
        due_ms: when it may begin, by the lease clock; until then it waits outside the line.

    Raises: see `run_again`.
    """
    basis, rows = basis_of(ctx, old, start), journal_of(ctx, old.id)
    known = with_later(ctx, old.id, rows)
    wanted = None if send_all else ()
    taken = taken_from(old, rows, basis.plan, start, wanted, known=known)
    run = _begin(ctx, old, basis, taken, start, "")
    if due_ms is not None:
        # A reason of its own: who waits for a time is looked at when the wall clock is moved.
        held = {"state": "waiting", "wait_reason": PACE, "due_at": due_ms, "boot": boot_id()}
        ctx.session.execute(update(Lease).where(Lease.run_id == run.id).values(held))
        waits = {"state": "waiting", "reason": PACE}
        ctx.session.execute(update(Run).where(Run.id == run.id).values(waits))
    return run


@requires(Permission.VIEW_RUNS)
def sending(ctx: Context, olds: Mapping[UUID, Run], starts: Mapping[UUID, str]) -> set[UUID]:
    """Return those of these runs in which something was sent that running them again, each from
    the step at `starts`, would send once more; in few questions, however many they are.
    """
    members, found = families(ctx, list(olds)), set()
    effects = (Step.effect != "none", Step.state.in_((*HAPPENED, "skipped", "cancelled")))
    every = list(members)
    for first in range(0, len(every), _AT_ONCE):
        rows_of: dict[UUID, list[Row]] = {}
        some = {one: members[one][1] for one in every[first : first + _AT_ONCE]}
        for row in rows_in(ctx, some, *effects):
            rows_of.setdefault(members[row.run_id][0], []).append(row)
        for run_id, rows in rows_of.items():
            plan = plan_of_run(ctx, olds[run_id])
            if sent_in(olds[run_id], rows, kept_of(plan, rows, starts[run_id]), plan):
                found.add(run_id)
    return found


def _check_sent(named: Sequence[str], sent: Container[str]) -> None:
    """Raise `Invalid` for what is to be sent again and was not sent: a slip would go unseen."""
    text = "Nothing was sent there that would be sent twice. The list of what was names the paths."
    wrong = [
        field_error(f"/send_again/{n}", "E-FIELD", what="The step", text=text)
        for n, path in enumerate(named)
        if path not in sent
    ]
    if wrong:
        raise Invalid(wrong[:20])


def _in_order_of(plan: Plan) -> Callable[[Sent], Any]:
    """Return a key by which paths come as the plan and its lists have them: item 2 before 10."""
    places = {step.id: n for n, step in enumerate(plan.walk())}

    def key(one: Sent) -> list[tuple[int, list[int]]]:
        return [
            (places.get(step_id, 0), [int(index) for index in _INDEX.findall(inside)])
            for step_id, inside in steps_of(one.path)
        ]

    return key


_INDEX: Final = re.compile(r"\d+")


def _begin(ctx: Context, old: Run, basis: Basis, taken: Taken, start: str, key: str) -> Run:
    """Write the new run with what it takes over."""
    starting.pass_gate(ctx, old.workflow_id)
    run = _new_run(ctx, old, basis, start, key)
    about = {"again_of": public_id("run", old.id), "reused": taken.done}
    starting.accept(ctx, run, basis.steps, about=about)
    begin_with(ctx, run.id, taken)
    return run


def _over(ctx: Context, run_id: UUID, start: str) -> tuple[Run, list[Row]]:
    """Return the run, of a part the one that it belongs to, with its journal."""
    run = whole_of(ctx, queries.find(ctx, run_id).run)
    if run.state not in {"done", "failed", "cancelled"}:
        raise Conflict("E-RUN-OPEN")
    rows = journal_of(ctx, run.id)
    if start and start not in {row.path for row in rows}:
        text = "This run has not reached such a step. Give the path of one of its tasks."
        raise Invalid.at("/from", "E-FIELD", what="The step", text=text)
    return run, rows


def _new_run(ctx: Context, old: Run, basis: Basis, start: str, key: str) -> Run:
    return Run(
        id=new_id(),
        organization_id=ctx.organization_id,
        workflow_id=old.workflow_id,
        version_id=basis.version_id,
        state="queued",
        kind=old.kind if old.kind in {"normal", "tryout", "rehearsal"} else "normal",
        started_by_kind=ctx.actor.kind,
        started_by=ctx.actor.id,
        started_by_name=ctx.actor.name,
        idem_key=key or _key(ctx, old),
        inputs=basis.inputs,
        queued_at=now(),
        depth=0,
        again_of=old.id,
        again_from=start or None,
    )


def _key(ctx: Context, old: Run) -> str:
    # Who runs it again at the same moment counts this one, too.
    ctx.session.execute(select(Run.id).where(Run.id == old.id).with_for_update(key_share=True))
    again = select(func.count()).select_from(Run).where(Run.again_of == old.id)
    return f"again:{public_id('run', old.id)}:{(ctx.session.scalar(again) or 0) + 1}"
