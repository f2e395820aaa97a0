"""One order in which everybody locks runs that belong together: who began first comes first.

A run is begun by a step of another one, so the one above always comes before those below. Who ends
a run changes the one above it, and all that is below: it locks them before it locks its own.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select

from webapp.access.context import Context
from webapp.runs import transitions
from webapp.runs.models import Lease, Run


def lock_families(ctx: Context, run_ids: Collection[UUID]) -> None:
    """Lock runs, those whose steps have started them, and all that their own steps have started.

    On SQLite writers are alone anyway.
    """
    if not run_ids or ctx.session.get_bind().dialect.name == "sqlite":
        return
    below = select(Run.id, Run.parent_run).where(Run.id.in_(run_ids)).cte(recursive=True)
    started = select(Run.id, Run.parent_run).where(Run.state.not_in(transitions.OVER))
    below = below.union(started.join(below, Run.parent_run == below.c.id))
    rows = ctx.session.execute(select(below.c.id, below.c.parent_run)).all()
    every = {one for row in rows for one in row if one is not None}
    leases = select(Lease.run_id).where(Lease.run_id.in_(every)).order_by(Lease.run_id)
    ctx.session.execute(leases.with_for_update())
