"""The ledger: what each call of a model may cost, and what it did cost.

A call is reserved before it is sent and closed by exactly one entry behind it: settled with what
the server counted, released when nothing was charged, or interrupted when its end is not known
and the amount is an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from webapp.engine.journal import Record

EntryKind = Literal["reserve", "settle", "release", "interrupted"]
SPENDS = frozenset({"settle", "interrupted"})
MOST_TOKENS = 2_000_000_000
"""A server that counts more than that counts nonsense; the columns hold no more either."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; `tokens_cached` of `tokens_in` were read from the server's cache."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0

    def bounded(self) -> Usage:
        tokens_in = min(max(self.tokens_in, 0), MOST_TOKENS)
        return Usage(
            tokens_in,
            min(max(self.tokens_out, 0), MOST_TOKENS),
            min(max(self.tokens_cached, 0), tokens_in),
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices of a model in nano-dollars a token: 0.15 USD a million is 150."""

    tokens_in: Decimal
    tokens_out: Decimal
    tokens_cached: Decimal

    def cost(self, usage: Usage) -> int:
        exact = (
            (usage.tokens_in - usage.tokens_cached) * self.tokens_in
            + usage.tokens_cached * self.tokens_cached
            + usage.tokens_out * self.tokens_out
        )
        return int(exact.to_integral_value(ROUND_HALF_UP))

    def as_json(self) -> dict[str, str]:
        return {
            "in": str(self.tokens_in),
            "out": str(self.tokens_out),
            "cached": str(self.tokens_cached),
        }

    @classmethod
    def read(cls, kept: dict[str, Any] | None) -> Rates | None:
        if kept is None:
            return None
        return cls(*(Decimal(str(kept[kind])) for kind in ("in", "out", "cached")))


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger, told by (path, attempt, n, kind).

    Attributes:
        n: which call of a model this is within the attempt.
        amount_nano: None: the model has no price here, so the cost is unknown.
        rates: those that held when the call began.
        estimate: the tokens are guessed by length, not counted by the server.
    """

    path: str
    attempt: int
    n: int
    kind: EntryKind
    model: str
    usage: Usage
    amount_nano: int | None
    rates: Rates | None
    estimate: bool

    def closed(self, kind: EntryKind, usage: Usage, *, estimate: bool) -> Entry:
        """Return the entry that closes this reservation."""
        amount = None if self.rates is None else self.rates.cost(usage)
        return replace(self, kind=kind, usage=usage, amount_nano=amount, estimate=estimate)

    def released(self) -> Entry:
        return self.closed("release", Usage(), estimate=False)

    def is_same_call(self, other: Entry) -> bool:
        mine, its = (self.path, self.attempt, self.n), (other.path, other.attempt, other.n)
        return mine == its


def spent_nano(entries: Iterable[Entry]) -> int:
    return sum(entry.amount_nano or 0 for entry in entries if entry.kind in SPENDS)


def catch_up(records: Iterable[Record]) -> list[Entry]:
    """Count into each row what the ledger has of it; return the entries that are missing there.

    A call that nobody closed was under way when its worker died: what was reserved for it counts
    as spent.
    """
    missing: list[Entry] = []
    for record in records:
        if not record.entries:
            continue
        closed = {entry.n for entry in record.entries if entry.kind != "reserve"}
        lost = [
            replace(entry, kind="interrupted", estimate=True)
            for entry in record.entries
            if entry.kind == "reserve" and entry.n not in closed
        ]
        missing += lost
        record.entries += lost
        paid = [entry for entry in record.entries if entry.kind in SPENDS]
        record.cost_nano = spent_nano(paid)
        record.tokens_in = sum(entry.usage.tokens_in for entry in paid)
        record.tokens_out = sum(entry.usage.tokens_out for entry in paid)
    return missing
