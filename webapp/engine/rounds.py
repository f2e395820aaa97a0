"""The step that repeats steps, round after round."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from webapp.engine.conditions import holds
from webapp.engine.errors import StepError
from webapp.engine.frames import Block, Error, HolderFrame, settle_if_ended
from webapp.engine.values import Scope, render


class RepeatFrame(HolderFrame):
    """One block after the other; what a round hands on is worked out when it has ended.

    The time at which each round ended is decided once and kept, so that a replay looks at the
    condition with the same clock.
    """

    def open_first(self) -> None:
        config = self.task.step.config
        self.round = 0
        self.met = False
        self.scope.allowance.begin()
        self.carry = {one.name: render(one.first, self.scope) for one in config.carry}
        self._open_round()

    def _open_round(self) -> None:
        self.round += 1
        task, steps = self.task, self.task.step.config.steps
        if not steps and self.scheduler.has_too_many(task, 1):
            return
        prefix = f"{task.path}#{self.round}/"
        self.is_there = bool(steps) and self.scheduler.found.is_final(prefix + steps[0].id)
        roots = {task.step.id: {"round": self.round, "carry": dict(self.carry)}}
        self.open_block(self.round, steps, prefix, Scope(roots, around=task.scope))

    def block_done(self, block: Block) -> None:
        self.forget(block)
        try:
            self._end_round(block)
        except StepError as error:
            self._fail_round({"code": error.code, "text": error.text})

    def _end_round(self, block: Block) -> None:
        config = self.task.step.config
        ended = self._ended_at()
        scope = Scope({"now": ended}, around=block.scope)
        scope.allowance.begin()
        carry = {one.name: render(one.value, scope) for one in config.carry}
        scope.allowance.keep(carry)
        self.carry = carry
        root = {"now": ended, self.task.step.id: {"round": self.round, "carry": carry}}
        self.met = holds(config.until, Scope(root, around=block.scope))
        if self.met or (self.round == config.most and config.at_limit == "continue"):
            self.scheduler.later(settle_if_ended, self)
        elif self.round == config.most:
            text = f"After {config.most} rounds the condition was still not true."
            raise StepError("E-REPEAT-LIMIT", text, proven=True, retryable=False)
        else:
            self._pause(ended)

    def _ended_at(self) -> dict[str, Any]:
        """Return the time at which this round ended, the same in every replay."""
        ends: list[dict[str, Any]] = self.decided.setdefault("ends", [])
        if len(ends) < self.round:
            if self.is_there:  # nobody wrote down its end: it was taken over from another run
                self.decided["taken"] = self.round
            ends.append(dict(self.scheduler.now))
            self.decide("ends", ends)
        return ends[self.round - 1]

    def _pause(self, ended: dict[str, Any]) -> None:
        """Open the next round in a while.

        Nothing is waited for behind a round that was taken over, nor in a rehearsal.
        """
        is_new = self.round > self.decided.get("taken", 0)
        waits = is_new and not self.scope.lookup(["run", "rehearsal"])
        pause_s = self.task.step.config.pause_s if waits else 0
        passed = _moment(self.scheduler.now) - _moment(ended)
        left_s = min(max(pause_s - passed.total_seconds(), 0.0), float(pause_s))
        if left_s > 0 or not self.task.step.config.steps:
            # Rounds without a step begin nothing at which others would have their turn.
            self.scheduler.pause(self.task, left_s)
        else:
            self._open_round()

    def go_on(self) -> None:
        if self.closing or self.ended:
            return
        self._open_round()

    def block_failed(self, block: Block, error: Error) -> None:
        self.forget(block)
        self._fail_round(error)

    def _fail_round(self, error: Error) -> None:
        self.fail({**error, "round": self.round})

    def close_blocks(self, reason: Any) -> None:
        self.scheduler.end_pause(self.task)
        super().close_blocks(reason)

    def all_closed(self) -> None:
        if self.error is not None:
            self.scheduler.holder_failed(self.task, self.error)
            return
        result = {**self.carry, "rounds": self.round, "met": self.met}
        self.scheduler.holder_succeeded(self.task, result)


def _moment(now: Any) -> datetime:
    return datetime.fromisoformat(str(now["time"]))
