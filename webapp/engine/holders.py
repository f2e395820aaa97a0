"""The steps that hold steps: if and parallel here, and where each of the others stands."""

from __future__ import annotations

from itertools import chain
from typing import Any

from webapp.engine.conditions import holds
from webapp.engine.frames import (
    Block,
    Error,
    HolderFrame,
    Task,
    forget_values,
    put,
    settle_if_ended,
)
from webapp.engine.items import EachFrame
from webapp.engine.rounds import RepeatFrame
from webapp.engine.tree import Tree
from webapp.engine.values import Scope


class IfFrame(HolderFrame):
    """The first branch whose condition holds, else "otherwise"."""

    def open_first(self) -> None:
        key = self.decided.get("branch") or self._choose()
        self.decided["branch"] = key
        steps = self.task.step.step.blocks.get(key, [])
        self.open_block(key, steps, f"{self.task.path}:{key}/", self.task.scope)

    def _choose(self) -> str:
        scope, key = self.scope, "otherwise"
        scope.allowance.begin()
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
        self.yielding: dict[str, list[Task]] = {}
        """By lane, steps that wait until no lane is left that may be first without them."""
        self.is_anybodys = False
        """There was none: from then on they race as others do."""

    def open_first(self) -> None:
        won = self.decided.get("won")
        first = [lane.id for lane in self.lanes.values() if not self.missing[lane.id]]
        for lane_id in first if won is None else won:
            self._open_lane(lane_id)
        if won is not None:
            lost = [f"{self.task.path}:{lane_id}/" for lane_id in first if lane_id not in won]
            self.doubtful = not self.scheduler.close_found(lost, "not_needed")
        elif not self.blocks:
            self.scheduler.later(settle_if_ended, self)

    def _open_lane(self, lane_id: str) -> None:
        lane = self.lanes[lane_id]
        roots: dict[str, Any] = {}
        for need in lane.needs:
            roots.update(self.roots.get(need, {}))
        self.roots[lane_id] = roots
        scope = Scope(roots, around=self.task.scope)
        self.open_block(lane_id, lane.steps, f"{self.task.path}:{lane_id}/", scope)

    def lets_others_first(self, block: Block, task: Task) -> bool:
        if self.enough is None or self.is_anybodys:
            return False
        self.yielding.setdefault(block.key, []).append(task)
        self.scheduler.later(ParallelFrame._let_go_if_all_yield, self)
        return True

    def _let_go_if_all_yield(self) -> None:
        if self.closing or self.error or not all(map(self._yields, self.blocks)):
            return
        self.is_anybodys = True
        waiting, self.yielding = self.yielding, {}
        for task in chain.from_iterable(waiting.values()):
            if task.state == "yielding":
                self.scheduler.yield_to_others(task, self.task.block)

    def _yields(self, lane_id: str) -> bool:
        return any(task.state == "yielding" for task in self.yielding.get(lane_id, ()))

    def block_closed(self, block: Block) -> None:
        super().block_closed(block)
        self._look_who_yields()

    def _look_who_yields(self) -> None:
        if self.yielding and self.blocks:
            self.scheduler.later(ParallelFrame._let_go_if_all_yield, self)

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
        self._look_who_yields()
        if not self.blocks:
            self.scheduler.later(settle_if_ended, self)

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


FRAMES: dict[str, type[HolderFrame]] = {
    "if": IfFrame,
    "parallel": ParallelFrame,
    "each": EachFrame,
    "repeat": RepeatFrame,
}
