"""Run again from a step: a new run that takes over what an earlier one has done.

Terminal stays terminal: the old run never changes. What succeeded before the chosen step is kept
(`reused`), what failed is tried again, and what has had an effect is skipped unless a person says
that it shall be sent once more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.engine.plan import Plan
from webapp.engine.recovery import CALL
from webapp.engine.reuse import comes_before, steps_around
from webapp.kernel.clock import boot_id, now
from webapp.kernel.errors import Conflict, Invalid
from webapp.kernel.ids import new_id, public_id
from webapp.runs import queries, starting
from webapp.runs.looking import plan_of_run
from webapp.runs.models import PART, Lease, Run, Step
from webapp.runs.parts import families, family, whole_of
from webapp.runs.plans import known_plan
from webapp.runs.service import find_run_by_key
from webapp.runs.taking_over import take_over

PACE: Final = "pace"
"""Why a run waits that was started together with many."""
_KEPT_REASONS: Final = frozenset({"off", "branch", "sent_before"})


@dataclass(frozen=True, slots=True)
class Sent:
    """A step that has had an effect, or may have had one, and would be done again.

    Attributes: path: of the step; calls: how many of an agent's tool calls it stands for.
    """

    path: str
    step_id: str
    kind: str
    effect: str
    doubtful: bool
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """What running again from a step would mean.

    Attributes: kept: how many steps are taken over; sent: what would be sent twice.
    """

    run: Run
    start: str
    kept: int
    sent: list[Sent]


@requires(Permission.VIEW_RUNS)
def preview(ctx: Context, run_id: UUID, start: str) -> Again:
    """Say what running again from the step at `start` would take over and send twice; "" is
    the beginning.

    Raises:
        NotFound: no such run here.
        Invalid: the run has not reached such a step.
        Conflict: the run is not over.
    """
    run, plan, rows = _over(ctx, run_id, start)
    kept = _kept(plan, rows, start)
    return Again(run, start, sum(1 for row in kept if row.ends), _sent(run, rows, kept, plan))


@requires(Permission.START_RUNS)
def run_again(
    ctx: Context, run_id: UUID, start: str, send_again: Iterable[str], *, key: str = ""
) -> Run:
    """Start a run that begins again from the step at `start`, with the inputs of the old one.

    Args:
        send_again: paths of effects that shall happen once more; the others are skipped, and
            keep the value they had.
        key: where it came from, once; made from the old run without it.

    Raises: see `preview`; LimitReached: too many runs wait; Conflict: the workflow runs only
        once at a time, and does.
    """
    if key and (earlier := find_run_by_key(ctx, key)) is not None:
        return earlier
    old, plan, _ = _over(ctx, run_id, start)
    wanted = set(send_again)
    run = _begin(ctx, old, plan, start, wanted, key)
    after = {"from": start, "new": public_id("run", run.id), "sent_again": sorted(wanted)[:20]}
    record(ctx, "run.again", public_id("run", old.id), after=after)
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
    wanted: set[str] | None = None if send_all else set()
    run = _begin(ctx, old, plan_of_run(ctx, old), start, wanted, f"again:{new_id()}")
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
    effects = (Step.effect != "none", Step.state.in_(_HAPPENED))
    every = list(members)
    for first in range(0, len(every), _AT_ONCE):
        rows_of: dict[UUID, list[_Row]] = {}
        some = {one: members[one][1] for one in every[first : first + _AT_ONCE]}
        for row in _rows_in(ctx, some, *effects):
            rows_of.setdefault(members[row.run_id][0], []).append(row)
        for run_id, rows in rows_of.items():
            plan = plan_of_run(ctx, olds[run_id])
            if _sent(olds[run_id], rows, _kept(plan, rows, starts[run_id]), plan):
                found.add(run_id)
    return found


def _begin(
    ctx: Context, old: Run, plan: Plan, start: str, wanted: set[str] | None, key: str
) -> Run:
    """Write the new run with what it takes over; `wanted` is sent again, None is everything."""
    starting.pass_gate(ctx, old.workflow_id)
    rows = _rows(ctx, old.id)
    kept = _kept(plan, rows, start)
    sent = [] if wanted is None else [one.path for one in _sent(old, rows, kept, plan)]
    skipped = [path for path in sent if path not in (wanted or ())]
    run = _new_run(ctx, old, start, key)
    known = known_plan(old.version_id)
    done = sum(1 for row in kept if row.ends)
    about = {"again_of": public_id("run", old.id), "reused": done}
    starting.accept(ctx, run, known.steps if known is not None else 0, about=about)
    for member in {row.run_id for row in rows}:
        mine = [row.path for row in kept if row.run_id == member]
        unsent = {row.path for row in rows if row.run_id == member}
        take_over(ctx, member, run.id, mine, [path for path in skipped if path in unsent])
    ctx.session.execute(update(Lease).where(Lease.run_id == run.id).values(done=done))
    return run


@dataclass(frozen=True, slots=True)
class _Row:
    """The newest attempt at a path, without its values.

    Attributes: run_id: the run itself, or one of its parts.
    """

    run_id: UUID
    path: str
    step_id: str
    kind: str
    state: str
    effect: str
    reason: str

    @property
    def is_call(self) -> bool:
        return CALL in self.path

    @property
    def ends(self) -> bool:
        return not self.is_call


def _over(ctx: Context, run_id: UUID, start: str) -> tuple[Run, Plan, list[_Row]]:
    """Return the run, of a part the one that it belongs to, with its plan and journal."""
    run = whole_of(ctx, queries.find(ctx, run_id).run)
    if run.state not in {"done", "failed", "cancelled"}:
        raise Conflict("E-RUN-OPEN")
    rows = _rows(ctx, run.id)
    if start and start not in {row.path for row in rows}:
        text = "This run has not reached such a step. Give the path of one of its tasks."
        raise Invalid.at("/from", "E-FIELD", what="The step", text=text)
    return run, plan_of_run(ctx, run), rows


def _rows(ctx: Context, run_id: UUID) -> list[_Row]:
    """Return the journal of a run as if it had no parts: their paths are those of one run."""
    return _rows_in(ctx, family(ctx, run_id))


def _rows_in(ctx: Context, members: Mapping[UUID, str], *only: ColumnElement[bool]) -> list[_Row]:
    """Return the newest attempts in these runs and parts that meet all conditions."""
    here = (Step.run_id.in_(members), Step.organization_id == ctx.organization_id)
    newest = (
        select(Step.run_id, Step.path, func.max(Step.attempt).label("attempt"))
        .where(*here, Step.kind != PART)
        .group_by(Step.run_id, Step.path)
        .subquery()
    )
    same = (Step.run_id == newest.c.run_id) & (Step.path == newest.c.path)
    query = (
        select(Step.run_id, Step.path, Step.step_id, Step.kind, Step.state, Step.effect, Step.error)
        .join(newest, same & (Step.attempt == newest.c.attempt))
        .where(*here, *only)
        .order_by(Step.path)
    )
    return [
        _Row(member, path, step_id, kind, state, effect, str((error or {}).get("reason") or ""))
        for member, path, step_id, kind, state, effect, error in ctx.session.execute(query)
        if path != members[member]
    ]


def _kept(plan: Plan, rows: Sequence[_Row], start: str) -> list[_Row]:
    """Return the rows that the new run takes over."""
    if not start:
        return []
    kept = {row.path for row in rows if _is_kept(plan, row, start)}
    whole = {row.path for row in rows if row.path in kept and row.kind in _TAKEN_WHOLE}
    return [row for row in rows if row.path in kept or _failed_in(whole, row)]


def _is_kept(plan: Plan, row: _Row, start: str) -> bool:
    step_path = row.path.rpartition(CALL)[0] if row.is_call else row.path
    if not comes_before(plan, step_path, start):
        return False
    if row.state == "skipped":
        return row.reason in _KEPT_REASONS
    return row.state in {"succeeded", "reused"}


def _failed_in(whole: Collection[str], row: _Row) -> bool:
    """Whether a step or tool call failed in one that went on, and that is not done again."""
    around = steps_around(row.path) if row.state == "failed" and whole else ()
    return any(path in whole for path in around)


def _sent(run: Run, rows: Sequence[_Row], kept: Sequence[_Row], plan: Plan) -> list[Sent]:
    """Return what has had an effect and is not taken over; an agent stands for its calls."""
    if run.kind == "rehearsal":
        return []
    stay = {row.path for row in kept}
    holding = {step.id for step in plan.walk() if step.kind in _HOLDERS}
    calls: dict[str, int] = {}
    doubtful: set[str] = set()
    found: dict[str, _Row] = {}
    for row in rows:
        if row.effect in {"none", ""} or row.path in stay or row.step_id in holding:
            continue
        if row.state not in _HAPPENED:
            continue
        path = row.path.rpartition(CALL)[0] if row.is_call else row.path
        calls[path] = calls.get(path, 0) + row.is_call
        if row.state in {"unknown", "intent"}:
            doubtful.add(path)
        found.setdefault(path, row)
    return [
        Sent(
            path,
            row.step_id,
            "agent" if row.is_call else row.kind,
            row.effect,
            path in doubtful,
            calls[path],
        )
        for path, row in sorted(found.items())
    ]


_HAPPENED: Final = ("succeeded", "reused", "unknown", "intent")
_AT_ONCE: Final = 500
_HOLDERS: Final = frozenset({"if", "parallel", "each", "repeat"})
_TAKEN_WHOLE: Final = _HOLDERS | {"agent"}


def _new_run(ctx: Context, old: Run, start: str, key: str) -> Run:
    return Run(
        id=new_id(),
        organization_id=ctx.organization_id,
        workflow_id=old.workflow_id,
        version_id=old.version_id,
        state="queued",
        kind=old.kind if old.kind in {"normal", "tryout", "rehearsal"} else "normal",
        started_by_kind=ctx.actor.kind,
        started_by=ctx.actor.id,
        started_by_name=ctx.actor.name,
        idem_key=key or _key(ctx, old),
        inputs=old.inputs,
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
