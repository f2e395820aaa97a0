"""The tree of what is open: a block per list of steps in progress, a frame per step that holds
blocks.

A frame opens blocks, hears when each has ended, and settles its own step when all have. It knows
nothing of time or of other frames; `tree.Tree` moves everything forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.conditions import holds
from webapp.engine.errors import StepError
from webapp.engine.journal import Record
from webapp.engine.plan import FAILURE, Step
from webapp.engine.ports import Meter
from webapp.engine.values import Scope, render

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
    for step in steps:
        scope.roots.pop(step.id, None)
        for block in step.blocks.values():
            forget_values(scope, block)


class Task:
    """One step at one path, from the moment its block reaches it until it is settled."""

    __slots__ = (
        "attempt", "block", "counted", "found", "frame", "meter", "path", "state", "step",
    )  # fmt: skip

    def __init__(self, step: StepPlan, path: str, block: Block, meter: Meter) -> None:
        self.step = step
        self.path = path
        self.block = block
        self.meter = meter
        self.attempt = 1
        self.state = "ready"
        """ready, running, waiting, retrying, unknown, holding (blocks), closed."""
        self.counted = False
        """It takes one of the run's `at_once` places."""
        self.frame: Frame | None = None
        self.found: Record | None = None

    @property
    def scope(self) -> Scope:
        return self.block.scope


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
            self.scheduler.later(_ended, self)

    def forget(self, block: Block) -> bool:
        """Take an ended block off; tell whether the frame, being closed, has now ended."""
        del self.blocks[block.key]
        return not self.blocks

    def block_closed(self, block: Block) -> None:
        """Hear that a block that was being closed has nothing open any more."""
        if self.forget(block):
            _ended(self)


def _ended(frame: Frame) -> None:
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
    return (f"{path}:", f"{path}[", f"{path}{FAILURE}")


class RootFrame(Frame):
    """The run itself."""

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
    """A step with a row of its own: if, parallel, each."""

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
            self.scheduler.later(_ended, self)
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


class IfFrame(HolderFrame):
    """The first branch whose condition holds, else "otherwise"."""

    def open_first(self) -> None:
        key = self.decided.get("branch") or self._choose()
        self.decided["branch"] = key
        steps = self.task.step.step.blocks.get(key, [])
        self.open_block(key, steps, f"{self.task.path}:{key}/", self.task.scope)

    def _choose(self) -> str:
        scope, key = self.scope, "otherwise"
        for branch in self.task.step.config.branches:
            if holds(branch.when, scope):
                key = str(branch.id)
                break
        if scope.notes:
            self.decided["notes"] = scope.notes
        return key

    def block_done(self, block: Block) -> None:
        self.forget(block)
        notes = {"notes": self.decided["notes"]} if "notes" in self.decided else {}
        self.scheduler.holder_succeeded(self.task, {"branch": block.key, **notes})

    def block_failed(self, block: Block, error: Error) -> None:
        self.forget(block)
        forget_values(block.scope, block.steps)
        self.scheduler.holder_failed(self.task, error)

    def all_closed(self) -> None:
        # Only a row closed by an ending that was lost in a crash leads here.
        self.scheduler.holder_closed(self.task, "cancelled")


class ParallelFrame(HolderFrame):
    """Lanes beside each other; a lane may need others."""

    def __init__(self, scheduler: Tree, task: Task) -> None:
        super().__init__(scheduler, task)
        config = task.step.config
        self.lanes = {lane.id: lane for lane in config.lanes}
        self.missing = {lane.id: len(set(lane.needs)) for lane in config.lanes}
        self.needed_by: dict[str, list[str]] = {lane.id: [] for lane in config.lanes}
        for lane in config.lanes:
            for need in dict.fromkeys(lane.needs):
                self.needed_by.setdefault(need, []).append(lane.id)
        self.doubtful = False
        """An interrupted execution left an effect of a lost lane in doubt."""
        self.roots: dict[str, dict[str, Any]] = {}
        self.finished: list[str] = []
        self.failed: list[str] = []
        until = config.until
        self.enough = 1 if until == "first" else getattr(until, "n", None)

    def open_first(self) -> None:
        won = self.decided.get("won")
        first = [lane.id for lane in self.lanes.values() if not self.missing[lane.id]]
        for lane_id in first if won is None else won:
            self._open_lane(lane_id)
        if won is not None:
            lost = [f"{self.task.path}:{lane_id}/" for lane_id in first if lane_id not in won]
            self.doubtful = not self.scheduler.close_found(lost, "not_needed")
        elif not self.blocks:
            self.scheduler.later(_ended, self)

    def _open_lane(self, lane_id: str) -> None:
        lane = self.lanes[lane_id]
        roots: dict[str, Any] = {}
        for need in lane.needs:
            roots.update(self.roots.get(need, {}))
        self.roots[lane_id] = roots
        scope = Scope(roots, around=self.task.scope)
        self.open_block(lane_id, lane.steps, f"{self.task.path}:{lane_id}/", scope)

    def block_done(self, block: Block) -> None:
        self.forget(block)
        self.finished.append(block.key)
        if self.enough is not None and len(self.finished) == self.enough and self.error is None:
            if self.blocks and "won" not in self.decided:
                self.decide("won", list(self.finished))
            if not self.doubtful:
                self.close_blocks("not_needed")
            return
        self._lane_ended(block)

    def block_failed(self, block: Block, error: Error) -> None:
        self.forget(block)
        self.failed.append(block.key)
        self.roots[block.key] = {}  # nobody sees values of a lane that has failed
        if self.task.step.config.lane_failure == "stop":
            self.fail({**error, "lane": block.key})
        else:
            self.scheduler.problems = True
        self._lane_ended(block)

    def _lane_ended(self, block: Block) -> None:
        if self.error is None:
            for waiting in self.needed_by[block.key]:
                self.missing[waiting] -= 1
                if not self.missing[waiting]:
                    self._open_lane(waiting)
        if not self.blocks:
            self.scheduler.later(_ended, self)

    def all_closed(self) -> None:
        error = self.error or self._shortfall()
        if error is not None:
            self.scheduler.holder_failed(self.task, error)
            return
        order = list(self.lanes)
        finished = [lane for lane in order if lane in self.finished]
        for lane in finished:
            put(self.task.scope, self.roots[lane])
        failed = [lane for lane in order if lane in self.failed]
        self.scheduler.holder_succeeded(self.task, {"finished": finished, "failed": failed})

    def _shortfall(self) -> Error | None:
        ended = len(self.finished) + len(self.failed)
        if self.enough is None and ended < len(self.lanes):
            text = "Some lanes need lanes that can't finish, so they never started."
            return {"code": "C-LANE-CYCLE", "text": text}
        if self.enough is not None and len(self.finished) < self.enough:
            text = f"Only {len(self.finished)} of the {self.enough} lanes needed have finished."
            return {"code": "E-LANES", "text": text}
        return None


class EachFrame(HolderFrame):
    """The same steps for each item of a list, some at once."""

    def open_first(self) -> None:
        config = self.task.step.config
        self.items = self._items()
        self.scopes: dict[int, Scope] = {}
        self.results: list[Any] = [None] * len(self.items)
        self.failed: list[dict[str, Any]] = []
        self.next = 0
        self.collect = config.collect
        for _ in range(min(config.at_once, len(self.items))):
            self._open_item()
        if not self.blocks:
            self.scheduler.later(_ended, self)

    def _items(self) -> list[Any]:
        config = self.task.step.config
        items = render(config.source, self.scope)
        if items is None or items == "":
            items = []
        if not isinstance(items, list):
            text = "This step works on a list, but got something else. Choose a list."
            raise StepError("E-LIST-TYPE", text, proven=True, retryable=False)
        if len(items) > config.most:
            text = (
                f"The list has {len(items):,} items; this step takes {config.most:,}. "
                "No item was started."
            )
            facts = {"count": len(items), "most": config.most}
            raise StepError("E-LIST-LIMIT", text, proven=True, retryable=False, facts=facts)
        return items

    def _open_item(self) -> None:
        index = self.next
        self.next += 1
        roots = {self.task.step.id: {"item": self.items[index], "index": index}}
        scope = Scope(roots, around=self.task.scope)
        steps = self.task.step.config.steps
        self.open_block(index, steps, f"{self.task.path}[{index}]/", scope)

    def block_done(self, block: Block) -> None:
        self.forget(block)
        try:
            self.results[block.key] = self._collected(block.scope)
        except StepError as error:
            self._item_failed(block.key, {"code": error.code, "text": error.text})
        self._item_ended()

    def _collected(self, item: Scope) -> dict[str, Any]:
        scope = Scope({"now": self.decided["now"]}, around=item)
        return {output.name: render(output.value, scope) for output in self.collect}

    def block_failed(self, block: Block, error: Error) -> None:
        self.forget(block)
        self._item_failed(block.key, error)
        self._item_ended()

    def _item_failed(self, index: int, error: Error) -> None:
        if self.task.step.config.item_failure == "stop":
            self.fail({**error, "index": index})
            return
        self.scheduler.problems = True
        self.failed.append({"index": index, "code": error["code"], "text": error["text"]})

    def _item_ended(self) -> None:
        if self.error is None and self.next < len(self.items):
            self._open_item()
        elif not self.blocks:
            self.scheduler.later(_ended, self)

    def all_closed(self) -> None:
        if self.error is not None:
            self.scheduler.holder_failed(self.task, self.error)
            return
        self.failed.sort(key=lambda one: one["index"])
        bad = {one["index"] for one in self.failed}
        done = [result for n, result in enumerate(self.results) if n not in bad]
        result = {
            "items": done if self.collect else [],
            "count": len(done),
            "failed": self.failed,
        }
        self.scheduler.holder_succeeded(self.task, result)


FRAMES: dict[str, type[HolderFrame]] = {
    "if": IfFrame,
    "parallel": ParallelFrame,
    "each": EachFrame,
}


def decisions(request: bytes | None) -> dict[str, Any]:
    """Read what an interrupted step that holds steps had decided."""
    found = from_bytes(request) if request else {}
    return found if isinstance(found, dict) else {}
