"""Give an earlier answer again, where a tool or a step says that it stays right for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from webapp.engine.ports import Work


async def kept_or_asked(
    group: str,
    request: bytes,
    fresh_s: float | None,
    work: Work,
    ask: Callable[[], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Return the kept answer to exactly these bytes, or ask and keep what comes.

    The journal takes it like any result, so a run that goes on after a crash has the same one.

    Args:
        group: whose answers change alike: one tool, one model.
        request: everything that the answer depends on, the connection included.
        fresh_s: None: always ask.
    """
    answers = work.ports.answers
    if not fresh_s or answers is None:
        return await ask()
    kept = await answers.find(group, request)
    if kept is not None:
        work.notes.append(f"From the cache, {aged(kept.age_s)} old.")
        return kept.result
    result = await ask()
    await answers.keep(group, request, result, fresh_s)
    return result


def aged(seconds: float) -> str:
    """Write an age as people say it, in its largest whole unit: "2 minutes"."""
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count:,} {word}" + ("" if count == 1 else "s")
    return "less than a second"
