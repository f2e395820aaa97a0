"""The money of one attempt of one step: reserved before a call of a model, settled behind it."""

from __future__ import annotations

from typing import Protocol

from webapp.engine.errors import StepError
from webapp.engine.ledger import Entry, Rates, Usage
from webapp.engine.ports import Work

USUAL_ANSWER = 4096
"""Tokens that are reserved for an answer whose length nobody has limited."""
SHORTEST_ANSWER = 100
"""Tokens that an answer must be able to have, or it is not worth asking."""


class PurseHost(Protocol):
    """Keeps the entries: the desk."""

    unpriced: set[str]
    """Models of which it was said that their price is not known."""

    def next_call(self, path: str, attempt: int) -> int:
        """Return the number of the next call of a model in this attempt."""
        ...

    async def commit_entry(self, entry: Entry) -> None:
        """Write a reservation and return when it is durable."""
        ...

    def leave_entry(self, entry: Entry) -> None:
        """Write what closes a reservation with the next commit."""
        ...


class Purse:
    """`asking.Money` of one attempt; it asks one model at a time."""

    def __init__(self, host: PurseHost, work: Work) -> None:
        self._host = host
        self._work = work
        self._open: Entry | None = None

    def may_spend(self) -> None:
        left = self._work.meter.unspent_nano
        if left is not None and left <= 0:
            raise too_dear()

    async def reserve(self, model: str, tokens_in: int, most_out: int | None) -> int | None:
        """Take what the next call may cost, for as long as it takes; see `asking.Money`."""
        self.may_spend()
        rates = await self._work.ports.prices(model) if self._work.ports.prices else None
        if rates is None:
            self._say_unknown(model)
            usage, amount, bound = Usage(tokens_in, most_out or USUAL_ANSWER), None, most_out
        else:
            usage, bound = await self._afford(rates, tokens_in, most_out)
            amount = rates.cost(usage)
        path, attempt = self._work.path, self._work.attempt
        n = self._host.next_call(path, attempt)
        entry = Entry(
            path, attempt, n, "reserve", model, usage.bounded(), amount, rates, estimate=True
        )
        self._work.meter.hold(amount or 0)
        try:
            await self._host.commit_entry(entry)
        except BaseException:
            self._work.meter.free(amount or 0)
            raise
        self._open = entry
        return bound

    async def _afford(
        self, rates: Rates, tokens_in: int, most_out: int | None
    ) -> tuple[Usage, int | None]:
        """Return what to reserve, and how long the answer may be, so that no limit is passed.

        What others have reserved may come back: that is waited for.

        Raises:
            StepError: E-COST-RUN, what is left is not enough.
        """
        meter = self._work.meter
        while True:
            unspent, left = meter.unspent_nano, meter.left_nano
            if unspent is None or left is None:
                return Usage(tokens_in, most_out or USUAL_ANSWER), most_out
            out = most_out or min(USUAL_ANSWER, _affordable(rates, tokens_in, unspent))
            usage = Usage(tokens_in, out)
            if (most_out is None and out < SHORTEST_ANSWER) or rates.cost(usage) > unspent:
                raise too_dear()
            if rates.cost(usage) <= left:
                return usage, out
            await meter.change()

    def settle(self, usage: Usage, *, estimate: bool = False) -> None:
        self._close("settle", usage, estimate)

    def interrupt(self, usage: Usage) -> None:
        self._close("interrupted", usage, True)

    def release(self) -> None:
        entry = self._taken()
        if entry is not None:
            self._host.leave_entry(entry.released())

    def end(self) -> None:
        """Whoever asked gave up in the middle: what was reserved counts."""
        if self._open is not None:
            self.interrupt(self._open.usage)

    def count(self, usage: Usage) -> None:
        self._work.spend(0, usage.tokens_in, usage.tokens_out)

    def _close(self, kind: str, usage: Usage, estimate: bool) -> None:
        entry = self._taken()
        if entry is None:
            return
        usage = usage.bounded()
        end = entry.closed(
            "settle" if kind == "settle" else "interrupted", usage, estimate=estimate
        )
        self._work.spend(end.amount_nano or 0, usage.tokens_in, usage.tokens_out)
        self._host.leave_entry(end)

    def _taken(self) -> Entry | None:
        entry, self._open = self._open, None
        if entry is not None:
            self._work.meter.free(entry.amount_nano or 0)
        return entry

    def _say_unknown(self, model: str) -> None:
        if model not in self._host.unpriced:
            self._host.unpriced.add(model)
            self._work.notes.append(
                f"The model “{model}” has no price here, so what it costs is unknown, and a limit "
                "on the cost does not stop it."
            )


def _affordable(rates: Rates, tokens_in: int, nano: int) -> int:
    """Return how many tokens of an answer can be paid with what the question leaves."""
    left = nano - rates.cost(Usage(tokens_in))
    if left < 0:
        return 0
    return USUAL_ANSWER if not rates.tokens_out else int(left / rates.tokens_out)


def too_dear() -> StepError:
    return StepError(
        "E-COST-RUN",
        "This step reached its cost limit, so we stopped it.",
        proven=True,
        retryable=False,
    )
