"""The rooms of runs: one run, an organization's runs, the text that a step is writing."""

from __future__ import annotations

from collections.abc import Iterator

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.errors import NotFound
from webapp.kernel.ids import parse_id
from webapp.live.rooms import Told, room
from webapp.runs import service


def run_seq(ctx: Context, about: str) -> int:
    return service.run_seq(ctx, parse_id("run", about))


def run_history(ctx: Context, about: str, after: int, most: int) -> Iterator[Told]:
    for event in service.run_events(ctx, parse_id("run", about), after, most):
        yield Told(event.seq, event.at, event.type, event.data)


def runs_seq(ctx: Context, about: str) -> int:
    """Return 0: the list is not numbered, its page asks when a run begins or ends."""
    if parse_id("org", about) != ctx.organization_id:
        raise NotFound()
    return 0


def text_seq(ctx: Context, about: str) -> int:
    """Return 0: text carries its own offset. "run_01…:s_3" is a run and the path of a step."""
    run, _, path = about.partition(":")
    if not path or len(path) > 400:
        raise NotFound()
    service.run_seq(ctx, parse_id("run", run))
    return 0


def open_rooms() -> None:
    """Make these rooms known to the socket server."""
    room("run", Permission.VIEW_RUNS, run_seq, run_history)
    room("runs", Permission.VIEW_RUNS, runs_seq)
    room("text", Permission.VIEW_RUNS, text_seq)
