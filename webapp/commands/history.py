"""`deckhand history`: what all runs did, for a check that nothing was lost or done twice."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict

import click

from webapp.commands.exits import settings_or_end


@click.group()
def history() -> None:
    """Look back at what runs did."""


@history.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with every run.")
def export(*, as_json: bool) -> None:
    """Tell every run of this machine as it is at this moment, of all organizations.

    It reads the database, changes nothing, and holds nobody up.
    """
    from webapp.access.context import NOWHERE, SYSTEM, Context
    from webapp.commands.db import newest_or_end
    from webapp.commands.unit import snapshot
    from webapp.kernel import jsons
    from webapp.runs.history import runs_so_far, totals

    settings = settings_or_end()
    newest_or_end(settings)
    with snapshot(settings) as session:
        ctx = Context(session, NOWHERE, SYSTEM, settings)
        found = runs_so_far(ctx)
        if not as_json:
            states = Counter(run["state"] for run in found)
            for state, count in sorted(states.items()):
                click.echo(f"{count:8,} {state}")
            facts = totals(ctx)
            click.echo(f"Cost: {facts.ledger_cost_usd} USD. To be sent: {facts.outbox_pending}.")
            click.echo(f"The audit record is {'whole' if facts.audit_ok else 'BROKEN'}.")
            return
        write = sys.stdout.write
        write('{"runs":[')
        for place, run in enumerate(found):
            write(",\n" if place else "\n")
            write(jsons.dumps(run))
        write("],\n" + jsons.dumps(asdict(totals(ctx)))[1:] + "\n")
