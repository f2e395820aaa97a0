"""What comes from outside for a run that waits: signals, answers, the ends of other runs."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.kernel import jsons
from webapp.kernel.errors import BadRequest, Conflict, Invalid
from webapp.kernel.ids import public_id
from webapp.runs import queries
from webapp.runs.models import Signal
from webapp.runs.schemas import SignalSent
from webapp.runs.service import deliver, lock_lease
from webapp.runs.words import run_word
from webapp.web import jsons as strict

MOST_SIGNALS: Final = 1_000
MOST_BYTES: Final = 32 * 1024


@requires(Permission.CONTROL_RUNS)
def send_signal(ctx: Context, run_id: UUID, sent: SignalSent) -> Signal:
    """Hand a signal to a run; a step that waits for its name takes it, now or later.

    Raises:
        Conflict: the run is over, or a thousand signals have come for it.
        Invalid: the data is too large.
    """
    run = queries.find(ctx, run_id).run
    if len(jsons.dumps(sent.data).encode()) > MOST_BYTES:
        text = "A signal carries at most 32 KiB. Put the rest where the workflow can fetch it."
        raise Invalid.at("/data", "E-FIELD", what="The data", text=text)
    lease = lock_lease(ctx, run_id)
    if lease is None:
        word = run_word(run.state, run.reason, problems=run.problems)
        raise Conflict("E-RUN-OVER", word=word.text)
    sent_before = (Signal.run_id == run_id, Signal.kind == "signal")  # no ends of its own runs
    count = select(func.count()).select_from(Signal).where(*sent_before)
    if (ctx.session.scalar(count) or 0) >= MOST_SIGNALS:
        raise Conflict("E-SIGNALS", most=f"{MOST_SIGNALS:,}")
    record(ctx, "run.signaled", public_id("run", run_id), after={"name": sent.name})
    return deliver(ctx, lease, "signal", sent.name, sent.data)


def read_json(typed: str) -> Any:
    """Return what a person typed as data: JSON when it is a list or a record, else the text.

    It is read as strictly as what programs send.
    """
    text = typed.strip()
    if text[:1] in {"{", "["}:
        try:
            return strict.load(text)
        except BadRequest as error:
            said = f"This begins like JSON. {error.text} Correct it, or begin with a word."
            raise Invalid.at("/data", "E-FIELD", what="The data", text=said) from None
    return text or None


def send(ctx: Context, run_id: UUID, kind: str, key: str, data: Any) -> Signal | None:
    """Write down what a part of ours has for a run; None: the run is over, nobody waits.

    Args:
        kind: approval or child; key: the path of the step that waits.
    """
    lease = lock_lease(ctx, run_id)
    return None if lease is None else deliver(ctx, lease, kind, key, data)
