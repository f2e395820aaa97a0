"""What follows when people ask for changes: the steps up to the approval once more, in rounds.

An approval that asks for changes is final like any other; its rounds lie behind it. Round 2 of
"s_9" works in "s_9#2/", in the same scope, so that later steps see what came last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webapp.engine.frames import Block, Closing, Error, Frame, Task, forget_values
from webapp.engine.plan import Step


def steps_again(block: Sequence[Step], approval: Step) -> list[Step]:
    """Return the steps of a block that are done again when changes are asked for, the approval
    last; none when it goes back to no earlier step of the block.
    """
    places = {step.id: place for place, step in enumerate(block)}
    first = places.get(str(getattr(approval.config, "back_to", None)))
    last = places[approval.id]
    return list(block[first : last + 1]) if first is not None and first < last else []


def goes_back(approval: Step, result: Any) -> bool:
    """Whether this is the result of an approval that asked for changes, with rounds left."""
    if approval.kind != "approval" or not isinstance(result, Mapping):
        return False
    is_asked = approval.config.back_to is not None and result.get("decision") == "changes"
    return is_asked and int(result.get("round") or 1) < approval.config.rounds


def begin_rounds(task: Task, result: dict[str, Any]) -> bool:
    """Open the next round if a result asks for one and the task does not lie in a round of its
    own step, whose frame hears of it by itself.
    """
    owner = task.block.owner
    if isinstance(owner, ChangesFrame) and owner.task.step is task.step:
        return False
    if not (goes_back(task.step.step, result) and steps_again(plan_block(task), task.step.step)):
        return False
    frame = ChangesFrame(task.block.owner.scheduler, task)
    task.state, task.frame = "holding", frame
    frame.begin({})
    return True


def plan_block(task: Task) -> list[Step]:
    """Return the block in which a step stands in the plan: a round does only some of it."""
    block = task.block
    while isinstance(block.owner, ChangesFrame):
        block = block.owner.task.block
    return block.steps


class ChangesFrame(Frame):
    """The rounds behind an approval that has asked for changes, one after the other."""

    task: Task

    def begin(self, decided: dict[str, Any]) -> None:
        self.steps = steps_again(plan_block(self.task), self.task.step.step)
        self.round = 1
        self.before: list[dict[str, Any]] = []
        self.answer: Any = None
        self._open_round()

    def _open_round(self) -> None:
        task, scope = self.task, self.task.scope
        said = scope.roots[task.step.id]
        told = {name: said.get(name) for name in ("by", "at", "note")}
        self.before.append({"round": self.round, **told})
        self.round += 1
        self.answer = scope.roots.get(self.steps[0].id)
        forget_values(scope, self.steps)
        prefix = f"{task.path}#{self.round}/"
        # Its costs are the block's, as they were the first time; the approval costs nothing.
        block = Block(self, self.round, self.steps, prefix, scope, task.block.meter)
        self.blocks[self.round] = block
        self.scheduler.later(self.scheduler.advance, block)

    def tells(self, task: Task) -> dict[str, Any] | None:
        if task.step is self.task.step:
            return {"round": self.round, "before": self.before}
        if task.step.id == self.steps[0].id:
            return {"round": self.round, "before": self.before, "answer": self.answer}
        return super().tells(task)

    def tells_inside(self, task: Task) -> dict[str, Any] | None:
        if task.step.id == self.steps[0].id:
            return {"round": self.round, "before": self.before}
        return super().tells_inside(task)

    def block_done(self, block: Block) -> None:
        self.forget(block)
        if goes_back(self.task.step.step, self.task.scope.roots.get(self.task.step.id)):
            self._open_round()
        else:
            self.scheduler.over(self.task)
            self.scheduler.later(self.scheduler.advance, self.task.block)

    def block_failed(self, block: Block, error: Error) -> None:
        self.forget(block)
        self.scheduler.over(self.task)
        self.scheduler.fail_block(self.task.block, error)

    def close(self, reason: Closing) -> None:
        # The approval's own row is final since it was answered: only its round ends.
        self.close_blocks(reason)

    def all_closed(self) -> None:
        self.scheduler.block_ended(self.task.block)
