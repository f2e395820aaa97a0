"""What a run is told to do while it is at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

Told = asyncio.Event | None


@dataclass(slots=True)
class Orders:
    """Attributes:
    stopping: begin nothing new: the worker is to go, or the run to pause.
    pausing: it is the run that pauses.
    cancel: the run is to be cancelled.
    cancelling: the scheduler has been told so.
    """

    stopping: bool = False
    pausing: bool = False
    cancel: bool = False
    cancelling: bool = False
    _watchers: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def begins_nothing(self) -> bool:
        return self.stopping or self.cancel

    def stop(self) -> None:
        self.stopping = True

    def pause(self) -> None:
        self.stopping = self.pausing = True

    def end(self) -> None:
        self.cancel = True

    def watch(self, event: Told, *acts: Callable[[], object]) -> None:
        """Do all of `acts` once the event is set."""
        if event is not None:
            self._watchers.append(asyncio.create_task(_when(event, acts)))

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()


async def _when(event: asyncio.Event, acts: tuple[Callable[[], object], ...]) -> None:
    await event.wait()
    for act in acts:
        act()
