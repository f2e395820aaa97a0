"""Entries of the ledger as the journal writes and reads them, in its own transactions."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from webapp.engine.ledger import Entry, Rates, Usage
from webapp.kernel.clock import now
from webapp.kernel.ids import new_id
from webapp.kernel.rawsql import Sql

ENTER: Final = """
INSERT INTO ledger (id, organization_id, run_id, path, attempt, n, kind, model, tokens_in,
                    tokens_out, tokens_cached, amount_nano, price, estimate, at)
VALUES (:id, :org, :run, :path, :attempt, :n, :kind, :model, :tokens_in,
        :tokens_out, :tokens_cached, :amount, :price, :estimate, :at)"""

# Whether a commit whose answer was lost had been made: the lease is there while the run is held.
ENTERED: Final = """
SELECT lease.seq FROM ledger JOIN lease ON lease.run_id = ledger.run_id WHERE ledger.id = :id"""

OF_RUN: Final = """
SELECT path, attempt, n, kind, model, tokens_in, tokens_out, tokens_cached, amount_nano, price,
       estimate
  FROM ledger WHERE run_id = :run ORDER BY path, attempt, n, kind"""


def row_of(entry: Entry, run: UUID, organization: UUID, sql: Sql) -> dict[str, Any]:
    """Return the parameters of `ENTER`."""
    return {
        "id": sql.id(new_id()),
        "org": sql.id(organization),
        "run": sql.id(run),
        "path": entry.path,
        "attempt": entry.attempt,
        "n": entry.n,
        "kind": entry.kind,
        "model": entry.model[:200],
        "tokens_in": entry.usage.tokens_in,
        "tokens_out": entry.usage.tokens_out,
        "tokens_cached": entry.usage.tokens_cached,
        "amount": entry.amount_nano,
        "price": sql.json(entry.rates.as_json()) if entry.rates else None,
        "estimate": entry.estimate,
        "at": sql.moment(now()),
    }


def read_entry(row: Any, sql: Sql) -> Entry:
    """Return the entry of a row of `OF_RUN`."""
    (path, attempt, n, kind, model, tokens_in, tokens_out, cached, amount, price, estimate) = row
    rates = Rates.read(sql.read_json(price))
    usage = Usage(tokens_in, tokens_out, cached)
    return Entry(path, attempt, n, kind, model, usage, amount, rates, bool(estimate))
