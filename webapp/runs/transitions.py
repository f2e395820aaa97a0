"""Which state a run may go to from which; a write that is not in it is a bug (PLAN.md 2)."""

from __future__ import annotations

from typing import Final

ALLOWED: Final[dict[str, frozenset[str]]] = {
    # Cancelling what a lost worker may have done asks for a decision.
    "queued": frozenset({"running", "waiting", "needs_review", "cancelled", "paused"}),
    "running": frozenset(
        {"queued", "waiting", "paused", "needs_review", "done", "failed", "cancelled"}
    ),
    "waiting": frozenset({"queued", "running", "needs_review", "paused", "cancelled"}),
    "paused": frozenset({"queued", "waiting", "needs_review", "cancelled"}),
    "needs_review": frozenset({"queued", "paused", "cancelled"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}

OVER: Final = frozenset(state for state, after in ALLOWED.items() if not after)


def check(before: str, after: str) -> None:
    """Raise when a run cannot go from `before` to `after`."""
    if after not in ALLOWED[before]:
        raise ValueError(f"a run that is {before} cannot become {after}")
