"""What follows from how an attempt went, and from the row of an earlier one."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from typing import Any

from webapp.engine.changes import begin_rounds
from webapp.engine.commands import (
    Cancel,
    Doubtful,
    Due,
    Failed,
    Outcome,
    RetryLater,
    Spent,
    Stopped,
    Succeeded,
    Wait,
    Waits,
)
from webapp.engine.compiled import StepPlan
from webapp.engine.errors import ServiceAway, StepError
from webapp.engine.frames import Error, FailureFrame, Task, decisions, put
from webapp.engine.journal import Record
from webapp.engine.mailbox import frozen_of
from webapp.engine.ports import WaitFor
from webapp.engine.recovery import Found, held_s, in_doubt, restored
from webapp.engine.rows import (
    closed_row,
    doubtful_row,
    ending_of,
    held_row,
    problem,
    row,
    wait_request,
)
from webapp.engine.tree import Tree
from webapp.engine.waiting import within

PASSED_BY = frozenset({"off", "branch", "sent_before"})
"""Reasons for which a step is skipped and its block goes on."""


class Outcomes(Tree):
    """The part of the scheduler that settles steps."""

    def __init__(self, found: Found, steps: dict[str, StepPlan]) -> None:
        super().__init__(found, steps)
        self.tasks: dict[str, Task] = {}
        """By path: what runs, waits, or is in doubt."""
        self.running = 0
        """Started steps that take one of the `at_once` places."""
        self.spending: Counter[str] = Counter()
        """Of these, by kind, those that may spend money under a limit."""
        self.holding = 0
        """Steps that wait for a run, and hold what it may spend."""

    @abstractmethod
    def open(self, task: Task, decided: dict[str, Any]) -> None:
        """Begin a step; what holds steps goes by what it had `decided` earlier."""

    @abstractmethod
    def start(self, task: Task) -> None:
        """Begin an attempt as soon as there is a place."""

    @property
    @abstractmethod
    def is_ending(self) -> bool:
        """Whether the run has been told how to end."""

    def hear(self, task: Task, outcome: Outcome) -> None:
        """Settle what was started, or see to it that it goes on."""
        if task.counted:
            task.counted = False
            self.running -= 1
            self.spending[task.step.kind_name] -= task.spends_of_limit
        self._let_spend(task)
        match outcome:
            case Due() if task.frame is not None:
                self.tasks.pop(task.path, None)
                task.frame.go_on()
            case Due():
                task.attempt += task.state == "retrying"  # else it waited for a service
                self.start(task)
            case Succeeded() if task.step.kind_name == "stop" and self.is_ending:
                self._stopped(task, False, outcome.spent)  # another one was first
            case Succeeded(result, spent):
                self._pay(task, spent)
                self.problems |= spent.problems
                error = {"problems": True} if spent.problems else None
                self.settle(row(task, "succeeded", spent, result=result, error=error))
                self.succeed(task, result)
            case Failed(error, spent):
                self._pay(task, spent)
                self._attempt_failed(task, error, spent)
            case Doubtful(error, spent):
                self._in_doubt(task, error, spent)
            case Stopped(begun, spent):
                self._stopped(task, begun, spent)
            case Waits(what, spent):
                self._wait(task, what, spent)

    def _hold(self, task: Task, held_nano: int) -> None:
        """Remember what the run may spend that a step waits for."""
        task.held_nano = held_nano
        self.holding += held_nano > 0

    def _let_spend(self, task: Task) -> None:
        """Give back what was held for a run that was waited for."""
        if task.held_nano:
            task.meter.free(task.held_nano)
            task.held_nano = 0
            self.holding -= 1

    def _pay(self, task: Task, spent: Spent) -> None:
        """Count what a run has cost that was waited for; what works here counts by itself."""
        if task.state == "waiting":
            task.meter.add(spent.cost_nano)

    def _attempt_failed(self, task: Task, error: StepError, spent: Spent) -> None:
        if not (task.step.may_repeat or error.proven):
            self._in_doubt(task, error, spent)
            return
        if isinstance(error, ServiceAway) and not task.block.closing:
            if task.held_s < error.most_s:
                held = held_row(task, error, spent)
                self.settle(held)
                self._await(task, held)
                return
            error = error.give_up()
        facts = problem(task, error)
        after_s = None
        if not task.block.closing:
            after_s = task.step.retry_after(error, task.attempt, task.path)
        if after_s is None:
            self.settle(row(task, "failed", spent, error=facts))
            self.failed(task, facts)
            return
        found = row(task, "failed", spent, error={**facts, "again": True})
        found.due_s = after_s
        self.settle(found)
        self._retry(task, found, after_s)

    def _retry(self, task: Task, found: Record, after_s: float) -> None:
        task.state = "retrying"
        task.found = found
        self.tasks[task.path] = task
        self.commands.append(RetryLater(task.path, after_s))

    def _stopped(self, task: Task, begun: bool, spent: Spent) -> None:
        if begun and not task.step.may_repeat:
            text = "This step was stopped while it was at work. It may have had its effect."
            error = StepError("E-DOUBT", text, proven=False)
            self._in_doubt(task, error, spent)
            return
        reason = task.block.closing or "cancelled"
        self.settle(closed_row(row(task, "intent", spent), reason))
        self.over(task)
        if task.block.closing:
            self.block_ended(task.block)

    def _in_doubt(self, task: Task, error: StepError, spent: Spent) -> None:
        self.settle(row(task, "unknown", spent, error=problem(task, error)))
        self._keep_unknown(task)

    def _keep_unknown(self, task: Task) -> None:
        task.state = "unknown"
        self.tasks[task.path] = task
        self.unknown += 1

    def _wait(self, task: Task, what: WaitFor, spent: Spent) -> None:
        what = within(what, task.step.step.timeout_s, str(self.now.get("time")))
        record = row(task, "waiting", spent, request=wait_request(what))
        record.due_s, record.due_at = what.due_s, what.due_at
        self.settle(record)
        self._hold(task, int(what.frozen.get("held") or 0))
        if task.block.closing:
            self.drop(task)
        else:
            self._await(task, record)

    def pause(self, task: Task, after_s: float) -> None:
        """Let a step that holds steps go on in a while."""
        self.tasks[task.path] = task
        self.commands.append(RetryLater(task.path, after_s, pause=True))

    def end_pause(self, task: Task) -> None:
        if self.tasks.pop(task.path, None) is not None:
            self.commands.append(Cancel(task.path))

    def _await(self, task: Task, record: Record) -> None:
        task.state = "waiting"
        if (held := held_s(record)) is not None:
            task.held_s, task.found = held, record
        self.tasks[task.path] = task
        self.commands.append(Wait(task.path, record))

    def drop(self, task: Task) -> None:
        """Close what has not begun, or waits; a row that says otherwise is corrected."""
        self._let_spend(task)
        if task.state != "ready" or task.found is not None:
            # A failed attempt stays what it is; the one that doesn't follow is closed.
            task.attempt += task.state == "retrying"
            self.commands.append(Cancel(task.path))
            # It waits for a service, so nothing was sent, whatever its request says.
            held = task.found is not None and held_s(task.found) is not None
            unsent = row(task, "intent", error={"held_s": task.held_s} if held else None)
            self.settle(closed_row(unsent, task.block.closing or "cancelled"))
        self.over(task)
        self.later(self.block_ended, task.block)

    def succeed(self, task: Task, result: dict[str, Any]) -> None:
        put(task.scope, {task.step.id: result})
        self.over(task)
        if task.step.kind_name == "stop":
            self.end(ending_of(row(task, "succeeded", result=result)), "not_needed")
        if not task.block.closing and begin_rounds(task, result):
            return
        self.later(self.advance, task.block)

    def failed(self, task: Task, error: Error) -> None:
        """A step failed for good: what its `on_failure` says."""
        # Of a part the list it belongs to says what its failure means.
        do = "stop" if self.part_at(task.path) else task.step.step.on_failure.do
        if do == "stop" or task.block.closing:
            self.over(task)
            self.fail_block(task.block, error)
            return
        self.problems = True
        put(task.scope, {task.step.id: {"failed": True, "error": error}})
        if do == "continue":
            self.over(task)
            self.later(self.advance, task.block)
            return
        put(task.scope, {task.step.id: {"error": error}})
        task.state = "holding"
        self.tasks.pop(task.path, None)
        task.frame = FailureFrame(self, task)
        task.frame.begin({})

    def over(self, task: Task) -> None:
        task.state = "closed"
        self.tasks.pop(task.path, None)

    # Rows of an earlier execution

    def replay(self, task: Task, record: Record) -> None:
        """Go on from the last row of an interrupted execution."""
        task.attempt = record.attempt
        match record.state:
            case "succeeded" | "reused":
                if task.step.kind.container:
                    put(task.scope, restored(task.step, record, self.found))
                self.succeed(task, record.result or {})
            case "skipped" if record.reason in PASSED_BY:
                self._pass_by(task, record)
            case "skipped" | "cancelled":
                task.block.closing = "cancelled"
                self.over(task)
                self.later(self.block_ended, task.block)
            case "failed" if record.ends_path:
                self.failed(task, record.error or {})
            case "failed":
                self._retry(task, record, record.due_s or 0.0)
            case "waiting":
                self._hold(task, int(frozen_of(record).get("held") or 0))
                task.meter.hold(task.held_nano)
                self._await(task, record)
            case "unknown":
                self._replay_unknown(task, record)
            case _:
                self._replay_intent(task, record)

    def _pass_by(self, task: Task, record: Record) -> None:
        if record.reason == "sent_before":  # it keeps the value it gave in the earlier run
            put(task.scope, {task.step.id: record.result or {}})
            if (record.error or {}).get("lost"):
                self.yield_to_others(task, task.block)
                return
        self.over(task)
        self.later(self.advance, task.block)

    def _replay_intent(self, task: Task, record: Record) -> None:
        if task.step.kind.container:
            self.open(task, decisions(record.request))
        elif in_doubt(record) or self.found.has_call_in_doubt(record.path):
            self.settle(doubtful_row(record))
            self._keep_unknown(task)
        else:
            task.found = record
            self.start(task)

    def _replay_unknown(self, task: Task, record: Record) -> None:
        """Keep what nobody has decided; "do it again" was said of the row, or, for an agent, its
        doubtful tool call has been decided.
        """
        again = (record.error or {}).get("decided") == "again"
        settled_call = task.step.may_repeat and not self.found.has_call_in_doubt(record.path)
        if again or settled_call:
            self._retry(task, record, 0.0)
        else:
            self._keep_unknown(task)
