"""What a run takes over from an earlier one: which of its steps, and writing them.

What succeeded is kept (`reused`), what failed inside a step that went on is kept with it, and what
has had an effect is skipped unless a person says that it shall happen once more.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, insert, literal, select, update

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.journal import HOLDERS
from webapp.engine.plan import Plan
from webapp.engine.recovery import CALL
from webapp.engine.reuse import comes_before, is_untouched, stands_in, steps_around
from webapp.runs.families import family, whole_of
from webapp.runs.journal_queries import CUT_OFF_REASONS, HAPPENED
from webapp.runs.models import PART, Lease, Run, Step

_AT_ONCE: Final = 500
_STAYS: Final = ("skipped", "failed")
_KEPT_REASONS: Final = frozenset({"off", "branch", "sent_before"})
_TAKEN_WHOLE: Final = HOLDERS | {"agent"}
_UNFINISHED: Final = frozenset({"failed", "cancelled", "needs_review"})
_MOST_REPEATED: Final = 50


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
class Row:
    """The newest attempt at a path, without its values.

    Attributes:
        run_id: the run itself, or one of its parts.
        was_asked: its request was written down, and may have been sent.
    """

    run_id: UUID
    path: str
    step_id: str
    kind: str
    state: str
    effect: str
    reason: str
    was_asked: bool

    @property
    def is_call(self) -> bool:
        return CALL in self.path

    @property
    def ends(self) -> bool:
        return not self.is_call

    @property
    def has_happened(self) -> bool:
        """Whether its effect was there, or may have been, in this run or in one that it repeats."""
        skipped = self.state == "skipped" and self.reason == "sent_before"
        return skipped or self.state in HAPPENED or self.was_cut_off

    @property
    def was_cut_off(self) -> bool:
        """Whether something else ended it when it was on its way: it may be repeated, not unseen.

        A run that it called goes on by itself where it was; see `go_on_from`.
        """
        ended = self.state == "cancelled" or (
            self.state == "skipped" and self.reason in CUT_OFF_REASONS
        )
        return ended and self.was_asked and self.kind != "workflow"


@requires(Permission.VIEW_RUNS)
def journal_of(ctx: Context, run_id: UUID) -> list[Row]:
    """Return the journal of a run as if it had no parts: their paths are those of one run."""
    return rows_in(ctx, family(ctx, run_id))


@requires(Permission.VIEW_RUNS)
def rows_in(ctx: Context, members: Mapping[UUID, str], *only: ColumnElement[bool]) -> list[Row]:
    """Return the newest attempts in these runs and parts that meet all conditions."""
    here = (Step.run_id.in_(members), Step.organization_id == ctx.organization_id)
    newest = (
        select(Step.run_id, Step.path, func.max(Step.attempt).label("attempt"))
        .where(*here, Step.kind != PART)
        .group_by(Step.run_id, Step.path)
        .subquery()
    )
    same = (Step.run_id == newest.c.run_id) & (Step.path == newest.c.path)
    columns = (Step.run_id, Step.path, Step.step_id, Step.kind, Step.state, Step.effect)
    query = (
        select(*columns, Step.error, Step.request.is_not(None))
        .join(newest, same & (Step.attempt == newest.c.attempt))
        .where(*here, *only)
        .order_by(Step.path)
    )
    return [
        Row(member, path, step_id, kind, state, effect, (error or {}).get("reason") or "", asked)
        for member, path, step_id, kind, state, effect, error, asked in ctx.session.execute(query)
        if path != members[member]
    ]


def kept_of(
    plan: Plan, rows: Sequence[Row], start: str, changed: Collection[str] = ()
) -> list[Row]:
    """Return the rows that the new run takes over.

    Args:
        plan: what the new run goes by.
        changed: ids of its steps that are other ones than those of the old run.
    """
    if not start:
        return []
    kept = {row.path for row in rows if _is_kept(plan, row, start, changed)}
    whole = {row.path for row in rows if row.path in kept and row.kind in _TAKEN_WHOLE}
    return [row for row in rows if row.path in kept or _failed_in(whole, row)]


def _is_kept(plan: Plan, row: Row, start: str, changed: Collection[str]) -> bool:
    step_path = row.path.rpartition(CALL)[0] if row.is_call else row.path
    if not comes_before(plan, step_path, start):
        return False
    if changed and not is_untouched(plan, changed, step_path):
        return False
    if row.state == "skipped":
        return row.reason in _KEPT_REASONS
    return row.state in {"succeeded", "reused"}


def _failed_in(whole: Collection[str], row: Row) -> bool:
    """Whether a step or tool call failed in one that went on, and that is not done again."""
    around = steps_around(row.path) if row.state == "failed" and whole else ()
    return any(path in whole for path in around)


def sent_in(run: Run, rows: Sequence[Row], kept: Sequence[Row], plan: Plan) -> list[Sent]:
    """Return what has had an effect and is not taken over; an agent stands for its calls."""
    if run.kind == "rehearsal":
        return []
    stay = {row.path for row in kept}
    holding = {step.id for step in plan.walk() if step.kind in HOLDERS}
    calls: dict[str, int] = {}
    doubtful: set[str] = set()
    found: dict[str, Row] = {}
    for row in rows:
        if row.effect in {"none", ""} or row.path in stay or row.step_id in holding:
            continue
        if not row.has_happened:
            continue
        path = row.path.rpartition(CALL)[0] if row.is_call else row.path
        if not stands_in(plan, path):
            continue
        calls[path] = calls.get(path, 0) + row.is_call
        if row.was_cut_off or row.state in {"unknown", "intent"}:
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


@dataclass(frozen=True, slots=True)
class Taken:
    """What a new run begins with.

    Attributes:
        kept: what stays as it is.
        sent: paths of what would be sent twice; skipped: of what of it is not sent again.
    """

    rows: list[Row]
    kept: list[Row]
    sent: list[str]
    skipped: list[str]

    @property
    def done(self) -> int:
        return sum(1 for row in self.kept if row.ends)


def taken_from(
    old: Run,
    rows: list[Row],
    plan: Plan,
    start: str,
    wanted: Container[str] | None,
    changed: Collection[str] = (),
) -> Taken:
    """Return what a run takes over that begins again from the step at `start`.

    Args:
        rows: the journal of the old run.
        plan: what the new one goes by, and `changed`: see `kept_of`.
        wanted: paths of effects that shall happen once more; None: all of them.
    """
    kept = kept_of(plan, rows, start, changed)
    sent = [one.path for one in sent_in(old, rows, kept, plan)]
    skipped = [] if wanted is None else [path for path in sent if path not in wanted]
    # What an agent has done that is skipped stays known to whoever runs the new run again.
    done = [row for row in rows if row.is_call and row.has_happened]
    kept += [row for row in done if row.path.rpartition(CALL)[0] in set(skipped)]
    return Taken(rows, kept, sent, skipped)


@requires(Permission.START_RUNS)
def begin_with(ctx: Context, run_id: UUID, taken: Taken) -> None:
    """Write the steps of a run that was accepted just now."""
    for member in {row.run_id for row in taken.rows}:
        mine = [row.path for row in taken.kept if row.run_id == member]
        here = {row.path for row in taken.rows if row.run_id == member}
        take_over(ctx, member, run_id, mine, [path for path in taken.skipped if path in here])
    ctx.session.execute(update(Lease).where(Lease.run_id == run_id).values(done=taken.done))


@requires(Permission.START_RUNS)
def called_before(ctx: Context, parent_run: UUID, path: str) -> Run | None:
    """Return the run that the step at a path had started in the run that this one repeats.

    Of several repetitions the last counts that came so far.
    """
    above: Run | None = whole_of(ctx, ctx.get(Run, parent_run))
    for _ in range(_MOST_REPEATED):
        if above is None or above.again_of is None:
            break  # the first one, or what it repeats is forgotten
        members = family(ctx, above.again_of)
        called = (Run.parent_run.in_(members), Run.parent_path == path, Run.kind != PART)
        found = ctx.session.scalars(select(Run).where(*called).limit(1)).one_or_none()
        if found is not None:
            return found
        above = ctx.session.get(Run, above.again_of)
    return None


@requires(Permission.START_RUNS)
def go_on_from(
    ctx: Context, old: Run, run: Run, given: Collection[str], plan: Plan
) -> Taken | None:
    """Let a run that a step of a repetition starts go on where the one before it failed, so that
    nothing that it sent is sent twice; None: it begins anew, being about something else.

    Args:
        run: not written yet; given: names of the inputs that the step hands over.
    """
    same = all(run.inputs.get(name) == old.inputs.get(name) for name in given)
    if old.state not in _UNFINISHED or old.version_id != run.version_id or not same:
        return None
    failed_at = str((old.error or {}).get("path") or "")
    taken = taken_from(old, journal_of(ctx, old.id), plan, failed_at, ())
    run.inputs, run.again_of, run.again_from = old.inputs, old.id, failed_at or None
    return taken


@requires(Permission.START_RUNS)
def take_over(
    ctx: Context, old: UUID, new: UUID, kept: Sequence[str], skipped: Sequence[str] = ()
) -> None:
    """Write the rows that a run begins with, without reading their values.

    Args:
        old: the run that has them.
        kept: paths of what stays as it is; skipped: of what is not sent again.
    """
    for paths, state in ((kept, ""), (skipped, "skipped")):
        for first in range(0, len(paths), _AT_ONCE):
            _copy_some(ctx, old, new, paths[first : first + _AT_ONCE], state)


_SAME: Final = ("path", "step_id", "kind", "effect", "idem_key", "result", "result_file")
_ASKED_FOR: Final = (Step.effect != "none") | Step.path.contains(CALL, autoescape=True)
"""What was sent is shown again, and an agent that asks for the same gets what it got."""


def _copy_some(ctx: Context, old: UUID, new: UUID, paths: Sequence[str], state: str) -> None:
    newest = (
        select(Step.path, func.max(Step.attempt).label("attempt"))
        .where(Step.run_id == old, Step.path.in_(paths))
        .group_by(Step.path)
        .subquery()
    )
    kept_state = case((Step.state.in_(_STAYS), Step.state), else_="reused")
    values: dict[str, Any] = {
        "organization_id": literal(ctx.organization_id, Step.organization_id.type),
        "run_id": literal(new, Step.run_id.type),
        "attempt": literal(1),
        "state": literal(state) if state else kept_state,
        "request": case((_ASKED_FOR, Step.request)),
        "error": literal({"reason": "sent_before"}, Step.error.type) if state else Step.error,
        "fence": literal(0),
        "seq": literal(1),
        "started_at": Step.started_at,
        "done_at": Step.done_at,
        "cost_nano": literal(0),
        "tokens_in": literal(0),
        "tokens_out": literal(0),
    }
    chosen = (
        select(*(getattr(Step, name) for name in _SAME), *values.values())
        .join(newest, (Step.path == newest.c.path) & (Step.attempt == newest.c.attempt))
        .where(Step.run_id == old, Step.organization_id == ctx.organization_id)
    )
    ctx.session.execute(insert(Step).from_select([*_SAME, *values], chosen, include_defaults=False))
