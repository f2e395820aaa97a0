"""The tree of what is open: a block per list of steps in progress, a frame per step that holds
blocks.

A frame opens blocks, hears when each has ended, and settles its own step when all have. It knows
nothing of time or of other frames; `tree.Tree` moves everything forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.journal import Record
from webapp.engine.plan import FAILURE, Step
from webapp.engine.ports import Meter
from webapp.engine.values import Scope

if TYPE_CHECKING:
    from webapp.engine.compiled import StepPlan
    from webapp.engine.tree import Tree

Closing = Literal["", "cancelled", "not_needed", "failed_before"]
Error = dict[str, Any]


def put(scope: Scope, values: dict[str, Any]) -> None:
    """Make values seen in `scope`, by root."""
    assert isinstance(scope.roots, dict)
    scope.roots.update(values)


def forget_values(scope: Scope, steps: list[Step]) -> None:
    """Make the values of steps, and of what lies inside them, empty again."""
    assert isinstance(scope.roots, dict)
    drop_values(scope.roots, steps)


def drop_values(values: dict[str, Any], steps: Iterable[Step]) -> None:
    for step in steps:
        values.pop(step.id, None)
        for block in step.blocks.values():
            drop_values(values, block)


class Task:
    """One step at one path, from the moment its block reaches it until it is settled."""

    __slots__ = (
        "attempt", "block", "counted", "found", "frame", "held_nano", "held_s", "meter", "path",
        "state", "step",
    )  # fmt: skip

    def __init__(self, step: StepPlan, path: str, block: Block, meter: Meter) -> None:
        self.step = step
        self.path = path
        self.block = block
        self.meter = meter
        self.attempt = 1
        self.state = "ready"
        """ready, running, waiting, retrying, unknown, holding (blocks), yielding, closed."""
        self.counted = False
        """It takes one of the run's `at_once` places."""
        self.frame: Frame | None = None
        self.found: Record | None = None
        self.held_s = 0.0
        """How long it was told to wait for a service to recover."""
        self.held_nano = 0
        """What the run that it waits for may spend, which nobody else may meanwhile."""

    @property
    def scope(self) -> Scope:
        return self.block.scope

    @property
    def spends_of_limit(self) -> bool:
        """Whether it may spend money here, or in a run that it waits for, under a limit."""
        kind = self.step.kind_name
        spends = kind == "agent" or (kind == "workflow" and self.step.config.wait)
        return spends and self.meter.left_nano is not None


class Block:
    """A list of steps being worked through, one after the other."""

    __slots__ = (
        "closed", "closing", "index", "key", "meter", "owner", "prefix", "scope", "steps", "task",
    )  # fmt: skip

    def __init__(
        self, owner: Frame, key: Any, steps: list[Step], prefix: str, scope: Scope, meter: Meter
    ) -> None:
        self.owner = owner
        self.key = key
        self.steps = steps
        self.prefix = prefix
        self.scope = scope
        self.meter = meter
        self.index = 0
        self.task: Task | None = None
        self.closing: Closing = ""
        self.closed = False


class Frame:
    """A step that holds blocks. `open` counts the blocks that have not ended."""

    def __init__(self, scheduler: Tree, task: Task | None) -> None:
        self.scheduler = scheduler
        self.task = task
        self.blocks: dict[Any, Block] = {}
        self.closing: Closing = ""
        self.ended = False
        self.because: Closing = "not_needed"
        """Why the step itself closes what is still open in it."""

    def begin(self, decided: dict[str, Any]) -> None:
        """Open the first blocks.

        Args:
            decided: what an interrupted execution had decided already.

        Raises:
            StepError: the settings lead nowhere; the step fails.
        """
        raise NotImplementedError

    def block_done(self, block: Block) -> None:
        """Hear that all steps of a block are behind it."""
        raise NotImplementedError

    def block_failed(self, block: Block, error: Error) -> None:
        """Hear that a step of the block failed under "stop"."""
        raise NotImplementedError

    def all_closed(self) -> None:
        """Hear that the last open block has ended after `close_blocks`."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Hear that a pause is over."""

    def lets_others_first(self, block: Block, task: Task) -> bool:
        """Whether a step somewhere inside a block waits until no other block can be first; see
        `Tree.yield_to_others`.
        """
        return False

    def tells(self, task: Task) -> dict[str, Any] | None:
        """Return what a step in one of the blocks is told beside what it sees."""
        above = self.task if task.step.kind_name == "agent" else None
        return None if above is None else above.block.owner.tells_inside(above)

    def tells_inside(self, task: Task) -> dict[str, Any] | None:
        """Return what agents are told that stand somewhere inside a step of one of the blocks."""
        return None if self.task is None else self.task.block.owner.tells_inside(self.task)

    def open_block(self, key: Any, steps: list[Step], prefix: str, scope: Scope) -> None:
        assert self.task is not None
        block = Block(self, key, steps, prefix, scope, self.task.meter)
        self.blocks[key] = block
        self.scheduler.later(self.scheduler.advance, block)

    def close(self, reason: Closing) -> None:
        """End because something around this step ended."""
        self.closing = reason
        self.close_blocks(reason)

    def close_blocks(self, reason: Closing) -> None:
        for block in list(self.blocks.values()):
            self.scheduler.close_block(block, reason)
        if not self.blocks:
            self.scheduler.later(settle_if_ended, self)

    def forget(self, block: Block) -> bool:
        """Take an ended block off; tell whether the frame, being closed, has now ended."""
        del self.blocks[block.key]
        return not self.blocks

    def block_closed(self, block: Block) -> None:
        """Hear that a block that was being closed has nothing open any more."""
        if self.forget(block):
            settle_if_ended(self)


def settle_if_ended(frame: Frame) -> None:
    if frame.blocks or frame.ended:
        return
    frame.ended = True
    task = frame.task
    if task is None:
        frame.all_closed()
        return
    # A replay that closes blocks may not have reached every row that was left open in them.
    if not frame.scheduler.close_found(inside(task.path), frame.closing or frame.because):
        return  # an effect in doubt keeps the step open until a person has decided
    if frame.closing:
        frame.scheduler.holder_closed(task, frame.closing)
    else:
        frame.all_closed()


def inside(path: str) -> tuple[str, ...]:
    """How the paths of everything inside a step begin."""
    return (f"{path}:", f"{path}[", f"{path}#", f"{path}{FAILURE}")


class RootFrame(Frame):
    """The run itself."""

    def tells_inside(self, task: Task) -> dict[str, Any] | None:
        part = self.scheduler.part
        return None if part is None else part.told

    def block_done(self, block: Block) -> None:
        self.forget(block)
        self.scheduler.run_done()

    def block_failed(self, block: Block, error: Error) -> None:
        self.forget(block)
        self.scheduler.run_failed(error)

    def all_closed(self) -> None:
        self.scheduler.run_closed()


class FailureFrame(Frame):
    """The failure branch of a step that has failed."""

    task: Task

    def begin(self, decided: dict[str, Any]) -> None:
        steps = self.task.step.step.blocks.get(FAILURE, [])
        self.open_block(FAILURE, steps, f"{self.task.path}{FAILURE}/", self.task.scope)

    def block_done(self, block: Block) -> None:
        self.forget(block)
        self.scheduler.failure_handled(self.task)

    def block_failed(self, block: Block, error: Error) -> None:
        self.forget(block)
        self.scheduler.fail_block(self.task.block, error)

    def close(self, reason: Closing) -> None:
        # The step's own row is final since it failed: only the branch ends.
        self.close_blocks(reason)

    def all_closed(self) -> None:
        self.scheduler.block_ended(self.task.block)


class HolderFrame(Frame):
    """A step with a row of its own: if, parallel, each, repeat."""

    task: Task

    def __init__(self, scheduler: Tree, task: Task) -> None:
        super().__init__(scheduler, task)
        self.decided: dict[str, Any] = {}
        self.error: Error | None = None

    def begin(self, decided: dict[str, Any]) -> None:
        self.decided = decided or {"now": dict(self.scheduler.now)}
        self.error = self.decided.get("error")
        if self.error is not None:
            self.because = "failed_before"
            self.scheduler.later(settle_if_ended, self)
            return
        self.open_first()
        if not decided:
            self.scheduler.settle_intent(self.task, to_bytes(self.decided))

    def open_first(self) -> None:
        raise NotImplementedError

    def decide(self, key: str, value: Any) -> None:
        """Keep a decision that a replay must not make differently."""
        self.decided[key] = value
        self.scheduler.settle_intent(self.task, to_bytes(self.decided))

    def fail(self, error: Error) -> None:
        """Fail the step once everything open inside it has ended."""
        if self.error is None:
            self.error = error
            self.because = "failed_before"
            self.decide("error", error)
            self.close_blocks("failed_before")

    @property
    def scope(self) -> Scope:
        """The step's scope with the time at which the step began."""
        return Scope({"now": self.decided["now"]}, around=self.task.scope)


def decisions(request: bytes | None) -> dict[str, Any]:
    """Read what an interrupted step that holds steps had decided."""
    found = from_bytes(request) if request else {}
    return found if isinstance(found, dict) else {}
