"""What a run takes over from an earlier one: which of its steps, and writing them.

What succeeded is kept (`reused`), what failed inside a step that went on is kept with it, and what
has had an effect is skipped unless a person says that it shall happen once more.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, insert, literal, select, update

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.journal import HOLDERS
from webapp.engine.plan import Plan
from webapp.engine.recovery import CALL
from webapp.engine.reuse import comes_before, is_untouched, stands_in, steps_around
from webapp.runs.families import families
from webapp.runs.journal_queries import CUT_OFF_REASONS, HAPPENED
from webapp.runs.models import PART, Lease, Run, Step

_AT_ONCE: Final = 500
_STAYS: Final = ("skipped", "failed", "intent")
_WELL: Final = frozenset({"succeeded", "reused"})
_KEPT_REASONS: Final = frozenset({"off", "branch", "sent_before"})
_TAKEN_WHOLE: Final = HOLDERS | {"agent"}
END: Final = "."
"""In place of the path of a step: behind all of them."""


WhySkipped = Literal["sent", "doubtful", "lost"]
_SAID: Final[dict[WhySkipped, dict[str, Any]]] = {
    "sent": {"reason": "sent_before"},
    "doubtful": {"reason": "sent_before", "doubtful": True},
    "lost": {"reason": "sent_before", "doubtful": True, "lost": True},
}
"""What is kept of a step that is not sent again: it arrived, it may have, or it may have and was
cut off when another lane was first.
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A step that has had an effect, or may have had one, and would be done again.

    Attributes: run_id: which sent it, or a part of that one; calls: how many of an agent's tool
        calls it stands for.
    """

    run_id: UUID
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
        said: its error, or why it was skipped.
        was_asked: its request was written down.
    """

    run_id: UUID
    path: str
    step_id: str
    kind: str
    state: str
    effect: str
    said: dict[str, Any]
    was_asked: bool

    @property
    def reason(self) -> str:
        return str(self.said.get("reason") or "")

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

        What must happen once is in doubt then, or had not begun; what waited for a service had
        not. A run that it called goes on by itself where it was; see `go_on_from`.
        """
        ended = self.state == "cancelled" or (
            self.state == "skipped" and self.reason in CUT_OFF_REASONS
        )
        left = self.was_asked and "held_s" not in self.said
        return ended and left and self.kind != "workflow" and self.effect != "at_most_once"

    @property
    def why_skipped(self) -> WhySkipped:
        """Why it has no value, if it is not sent again; see `_SAID`."""
        if self.said.get("lost"):
            return "lost"
        is_open = self.state in {"unknown", "intent"}
        return "doubtful" if self.was_cut_off or is_open or self.said.get("doubtful") else "sent"

    @property
    def had_problems(self) -> bool:
        """Whether a run that keeps it, whatever it says of it, must not be green."""
        return self.state == "failed" or bool(self.said.get("problems"))


@requires(Permission.VIEW_RUNS)
def journal_of(ctx: Context, run_id: UUID) -> list[Row]:
    """Return the journal of a run as if it had no parts: their paths are those of one run.

    What a repetition took over for an item is in the run and in the part that does the item.
    """
    return journals_of(ctx, [run_id])[run_id]


@requires(Permission.VIEW_RUNS)
def journals_of(ctx: Context, run_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Return the journals of several runs, each as `journal_of` does."""
    found: dict[UUID, list[Row]] = {run_id: [] for run_id in run_ids}
    if not found:
        return found
    members = families(ctx, run_ids)
    depth = {member: n for n, member in enumerate(members)}
    rows = rows_in(ctx, {member: path for member, (_, path) in members.items()})
    for row in sorted(rows, key=lambda row: depth[row.run_id]):
        found[members[row.run_id][0]].append(row)
    return {run_id: _as_one(those) for run_id, those in found.items()}


def _as_one(rows: Sequence[Row]) -> list[Row]:
    """Return of the rows of a run and its parts, these last, one for each path."""
    newest = sorted({row.path: row for row in rows}.values(), key=lambda row: row.path)
    won = {row.path for row in newest if row.kind == "parallel" and row.state in _WELL}
    for row in newest:
        # A step that stops the run says "not needed" as well, and nobody was first.
        if row.was_cut_off and row.reason == "not_needed":
            row.said["lost"] = any(around in won for around in steps_around(row.path))
    return newest


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
        Row(member, path, step_id, kind, state, effect, error or {}, asked)
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
    if start != END and not comes_before(plan, step_path, start):
        return False
    if changed and not is_untouched(plan, changed, step_path):
        return False
    if row.state == "skipped":
        return row.reason in _KEPT_REASONS or (start == END and row.kind not in HOLDERS)
    return row.state in _WELL or (row.state == "failed" and start == END)


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
        if path in stay or not stands_in(plan, path):
            continue
        calls[path] = calls.get(path, 0) + row.is_call
        if row.why_skipped != "sent":
            doubtful.add(path)
        found.setdefault(path, row)
    return [
        Sent(
            row.run_id,
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
        resumed: what was on its way goes on as it was, with its bytes and its key.
    """

    rows: list[Row]
    kept: list[Row]
    sent: list[str]
    skipped: list[str]
    resumed: list[str] = field(default_factory=list)

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
    *,
    known: list[Row],
) -> Taken:
    """Return what a run takes over that begins again from the step at `start`.

    Args:
        rows: the journal of the old run.
        plan: what the new one goes by, and `changed`: see `kept_of`.
        wanted: paths of effects that shall happen once more; None: all of them.
        known: the journal with what later repetitions have sent.
    """
    kept = kept_of(plan, rows, start, changed)
    sent = [one.path for one in sent_in(old, known, kept, plan)]
    skipped = [] if wanted is None else [path for path in sent if path not in wanted]
    # What an agent has done that is skipped stays known to whoever runs the new run again.
    stays, passed = {row.path for row in kept}, set(skipped)
    done = [row for row in known if row.is_call and row.has_happened and row.path not in stays]
    kept += [row for row in done if row.path.rpartition(CALL)[0] in passed]
    return Taken(known, kept, sent, skipped)


@requires(Permission.START_RUNS)
def begin_with(ctx: Context, run_id: UUID, taken: Taken) -> None:
    """Write the steps of a run that was accepted just now."""
    skipped, resumed = set(taken.skipped), set(taken.resumed)
    for member in {row.run_id for row in (*taken.rows, *taken.kept)}:
        take_over(ctx, member, run_id, [row.path for row in taken.kept if row.run_id == member])
        paths: dict[tuple[WhySkipped, bool], list[str]] = {}
        for row in taken.rows:
            if row.run_id == member and row.path in skipped:
                paths.setdefault((row.why_skipped, row.had_problems), []).append(row.path)
        for (why, had_problems), those in paths.items():
            said = _SAID[why] | ({"problems": True} if had_problems else {})
            _copy(ctx, member, run_id, those, "skipped", said)
        mine = [row.path for row in taken.rows if row.run_id == member and row.path in resumed]
        _copy(ctx, member, run_id, mine, "intent")
    ctx.session.execute(update(Lease).where(Lease.run_id == run_id).values(done=taken.done))


@requires(Permission.START_RUNS)
def take_over(ctx: Context, old: UUID, new: UUID, paths: Sequence[str]) -> None:
    """Write what stays as it is of the rows that `old` has, without reading their values."""
    _copy(ctx, old, new, paths)


def _copy(
    ctx: Context,
    old: UUID,
    new: UUID,
    paths: Sequence[str],
    state: str = "",
    said: dict[str, Any] | None = None,
) -> None:
    for first in range(0, len(paths), _AT_ONCE):
        _copy_some(ctx, old, new, paths[first : first + _AT_ONCE], state, said)


_SAME: Final = ("path", "step_id", "kind", "effect", "idem_key", "result", "result_file")
_ASKED_FOR: Final = (Step.effect != "none") | Step.path.contains(CALL, autoescape=True)
"""What was sent is shown again, and an agent that asks for the same gets what it got."""


def _copy_some(
    ctx: Context,
    old: UUID,
    new: UUID,
    paths: Sequence[str],
    state: str,
    said: dict[str, Any] | None,
) -> None:
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
        "error": literal(said, Step.error.type) if state else Step.error,
        "fence": literal(0),
        "seq": literal(1),
        "started_at": Step.started_at,
        "done_at": literal(None, Step.done_at.type) if state == "intent" else Step.done_at,
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
