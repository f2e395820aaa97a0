"""The mechanics of the tree of frames: blocks go forward, are closed, and tell who holds them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from webapp.engine.commands import Cancel, Command, Settle
from webapp.engine.compiled import StepPlan
from webapp.engine.frames import Block, Closing, Error, Task, put
from webapp.engine.journal import End, Record
from webapp.engine.plan import Limits
from webapp.engine.recovery import Found, in_doubt, too_many
from webapp.engine.rows import closed_row, doubtful_row, row

if TYPE_CHECKING:
    from webapp.engine.parts import Part

LOOK_STEPS = 50
"""After so many steps at the latest, parts of one run look at what the others have done."""
LOOK_SHARE = 16
"""They do so when such a share of what is left is done."""


class Tree(ABC):
    """What frames use of the scheduler. Moves are kept in a list and worked off in a loop."""

    def __init__(self, found: Found, steps: dict[str, StepPlan]) -> None:
        self.found = found
        self.steps = steps
        self.now: Mapping[str, Any] = {}
        self.problems = found.had_failures
        self.unknown = 0
        """Effects in doubt, each of which keeps its path open."""
        self.executions = 0
        """Steps begun, those of parts included."""
        self.beside = 0
        """Steps of parts at work beside this run, as far as it knows."""
        self.open_parts: set[str] = set()
        """Paths of parts that this run has ordered and not counted."""
        self._look_at = 0
        self.limits: Limits
        self.part: Part | None = None
        """What the run does instead of the whole plan."""
        self.each_split = 0
        """Longer lists are done in parts of so many items; 0: none is."""
        self.commands: list[Command] = []
        self.moves: deque[tuple[Callable[[Any], None], Any]] = deque()

    @abstractmethod
    def visit(self, block: Block, step: StepPlan) -> None:
        """Do what comes next in a block."""

    @abstractmethod
    def drop(self, task: Task) -> None:
        """Close what has not begun, or waits; a row that says otherwise is corrected."""

    @abstractmethod
    def succeed(self, task: Task, result: dict[str, Any]) -> None:
        """Go on behind a step that has a result."""

    @abstractmethod
    def failed(self, task: Task, error: Error) -> None:
        """Do what a step's `on_failure` says."""

    @abstractmethod
    def pause(self, task: Task, after_s: float) -> None:
        """Let a step that holds steps go on in a while."""

    @abstractmethod
    def end_pause(self, task: Task) -> None:
        """Forget that a step was to go on in a while."""

    @abstractmethod
    def over(self, task: Task) -> None:
        """Forget a step that is settled."""

    @abstractmethod
    def run_done(self) -> None:
        """All steps are behind the run."""

    @abstractmethod
    def run_failed(self, error: Error) -> None:
        """A step of the root block failed under "stop"."""

    @abstractmethod
    def run_closed(self) -> None:
        """Everything open has ended after the run was told to end."""

    @abstractmethod
    def enter(self, task: Task) -> None:
        """Begin a step that stands in no block of the plan, or go on with it."""

    @property
    @abstractmethod
    def most_steps(self) -> int:
        """The limit of the whole run, in words of errors."""

    @abstractmethod
    def end(self, end: End, reason: Closing) -> None:
        """Let the run end so, once everything open has ended; the first one counts."""

    def part_at(self, path: str) -> Part | None:
        """Return what the run does of the list at a path, if it is a part of that list."""
        return self.part if self.part is not None and self.part.path == path else None

    @property
    def must_look(self) -> bool:
        """Whether it is time to ask what the parts beside this run have done."""
        has_some = self.part is not None or bool(self.open_parts)
        return has_some and self.executions >= self._look_at

    def look(self, beside: int) -> None:
        """Hear what the parts beside this run have done; the less is left, the sooner it asks."""
        self.beside = beside
        left = self.limits.steps - self.executions - beside
        self._look_at = self.executions + max(1, min(LOOK_STEPS, left // LOOK_SHARE))

    def part_ended(self, task: Task, path: str, steps: int) -> bool:
        """Count what a part has done; tell whether it is more than the run may do, as below."""
        self.open_parts.discard(path)
        self.beside = max(0, self.beside - steps) if self.open_parts or self.part else 0
        return self.has_too_many(task, steps)

    def has_too_many(self, task: Task, steps: int) -> bool:
        """Count what no visit of a step counts: parts of a list, or rounds without a step. Tell
        whether it is more than the run may do, which ends it.
        """
        self.executions += steps
        if self.executions <= self.limits.steps:
            return False
        where = {"step": task.step.id, "path": task.path}
        self.end(End("failed", error=too_many(self.most_steps) | where), "cancelled")
        return True

    def later(self, move: Callable[[Any], None], about: Any) -> None:
        self.moves.append((move, about))

    def advance(self, block: Block) -> None:
        """Go to the block's next step."""
        if block.closed:
            return
        block.task = None
        if block.closing:
            self.block_ended(block)
        elif block.index == len(block.steps):
            block.closed = True
            block.owner.block_done(block)
        else:
            step = self.steps[block.steps[block.index].id]
            block.index += 1
            self.visit(block, step)

    def close_block(self, block: Block, reason: Closing) -> None:
        """Start nothing more in the block, and stop what runs in it."""
        if block.closing or block.closed:
            return
        block.closing = reason
        task = block.task
        if task is None:
            return  # its next move finds it closing
        match task.state:
            case "running":
                self.commands.append(Cancel(task.path))
            case "ready" | "waiting" | "retrying":
                self.drop(task)
            case "yielding":
                self.over(task)
                self.later(self.block_ended, block)
            case "holding":
                assert task.frame is not None
                task.frame.close(reason)

    def yield_to_others(self, task: Task, inside: Block) -> None:
        """Go on behind a step that is not done again, and that another lane had cut off by being
        first: in lanes that race, only when no other can be first.

        Args:
            inside: the step's block, or the block around it from which on races are left.
        """
        task.state = "yielding"
        while inside.owner.task is not None:
            if inside.owner.lets_others_first(inside, task):
                return
            inside = inside.owner.task.block
        self.over(task)
        self.later(self.advance, task.block)

    def block_ended(self, block: Block) -> None:
        """A closing block has nothing open any more."""
        if not block.closed:
            block.closed = True
            block.owner.block_closed(block)

    def fail_block(self, block: Block, error: Error) -> None:
        if block.closing:
            self.block_ended(block)
        elif not block.closed:
            block.closed = True
            block.owner.block_failed(block, error)

    def close_found(self, prefixes: Iterable[str], reason: Closing) -> bool:
        """Settle rows that an interrupted execution left open below the paths.

        Returns:
            Whether nothing stays open; an effect in doubt does.
        """
        clear = True
        for record in self.found.open_below(tuple(prefixes)):
            again = (record.error or {}).get("decided") == "again"
            doubt = in_doubt(record) or self.found.has_call_in_doubt(record.path)
            if doubt or (record.state == "unknown" and not again):
                clear = False
                self.unknown += 1
                if record.state != "unknown":
                    self.settle(doubtful_row(record))
            elif record.state == "failed":  # the attempt that doesn't follow is closed
                following = replace(record, attempt=record.attempt + 1, error=None)
                self.settle(closed_row(following, reason))
            else:
                self.settle(closed_row(record, reason))
        return clear

    def settle_intent(self, task: Task, request: bytes) -> None:
        self.settle(row(task, "intent", request=request))

    def holder_succeeded(self, task: Task, result: dict[str, Any]) -> None:
        self.settle(row(task, "succeeded", result=result))
        self.succeed(task, result)

    def holder_failed(self, task: Task, error: Error) -> None:
        """A step that holds steps failed: by one of them, which `error` names, or by itself."""
        itself = {"attempts": task.attempt, "step": task.step.id, "path": task.path}
        error = error if "path" in error else {**itself, **error}
        self.settle(row(task, "failed", error=error))
        self.failed(task, error)

    def holder_closed(self, task: Task, reason: Closing) -> None:
        self.settle(closed_row(row(task, "intent"), reason))
        self.over(task)
        self.block_ended(task.block)

    def failure_handled(self, task: Task) -> None:
        """The failure branch is done: the run goes on behind the step."""
        error = task.scope.roots[task.step.id]["error"]
        put(task.scope, {task.step.id: {"failed": True, "error": error}})
        self.over(task)
        self.later(self.advance, task.block)

    def settle(self, record: Record) -> None:
        self.commands.append(Settle(record))
