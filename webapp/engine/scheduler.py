"""Decides what comes next. Pure: no clock, no I/O, no threads, no randomness.

Given a plan, the inputs and the rows of an earlier, interrupted execution, `begin` says what to
start; each `take` of an outcome says what follows from it. A path whose row is final is fed that
row the moment it is reached, so a replay is the same code as the first time, and what was
finished is never started again.

Everything moves by a list of small moves that is worked off in a loop, never by recursion, so
that an `each` over ten thousand finished items is as flat as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from webapp.engine.allowance import Allowance
from webapp.engine.commands import (
    Cancel,
    Command,
    Doubtful,
    Due,
    Failed,
    Finish,
    Outcome,
    RetryLater,
    Spent,
    Start,
    Stopped,
    Succeeded,
    Wait,
    Waits,
)
from webapp.engine.compiled import StepPlan, compiled, nano
from webapp.engine.errors import ServiceAway, StepError
from webapp.engine.frames import (
    Block,
    Closing,
    Error,
    FailureFrame,
    RootFrame,
    Task,
    decisions,
    put,
)
from webapp.engine.holders import FRAMES
from webapp.engine.journal import End, Record
from webapp.engine.plan import Limits, Plan
from webapp.engine.ports import Meter, WaitFor
from webapp.engine.recovery import TOO_MANY, Found, held_s, in_doubt, restored, seen_at_end
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
from webapp.engine.values import Scope, render

Values = Mapping[str, Any]
PASSED_BY = frozenset({"off", "branch", "sent_before"})
"""Reasons for which a step is skipped and its block goes on."""


class Scheduler(Tree):
    """The state of one run.

    Args:
        plan: a live plan.
        inputs: what Start asked for, by name.
        facts: `run` (id, link, started_at, ...), `zone`, `files`; handed to values.
        records: rows of an earlier execution of the same run; see `journal.Record`.
        limits: instead of the plan's own.
    """

    def __init__(
        self,
        plan: Plan,
        inputs: Values,
        facts: Values,
        records: Iterable[Record] = (),
        limits: Limits | None = None,
    ) -> None:
        self.plan = plan
        self.limits = limits or plan.limits
        super().__init__(Found(records), compiled(plan))
        self.executions = 0
        self.running = 0
        """Started steps that take one of the `at_once` places."""
        self.ended = False
        self.meter = Meter(nano(self.limits.cost_usd))
        self.meter.add(self.found.cost_nano)
        self._roots: dict[str, Any] = {"start": inputs, "run": facts.get("run", {}), "now": {}}
        self._scope = Scope(self._roots, facts=facts)
        self._ready: deque[Task] = deque()
        self._tasks: dict[str, Task] = {}
        self._root = RootFrame(self, None)
        self._ending: End | None = None

    # From outside

    def set_now(self, now: Values) -> None:
        """Say what `now` means for everything that begins from here on."""
        self.now = now
        self._roots["now"] = now

    def begin(self) -> list[Command]:
        if self._ending is None and self.found.last is not None:
            self._ending = ending_of(self.found.last)
        if self._ending is not None:
            return self._end_at_once()
        block = Block(self._root, "", self.plan.steps, "", self._scope, self.meter)
        self._root.blocks[""] = block
        self.later(self.advance, block)
        return self._work()

    def _end_at_once(self) -> list[Command]:
        """The run was told to end before it was interrupted: open nothing."""
        put(self._scope, seen_at_end(self.plan.steps, self.found))
        self.run_closed()
        return self._work()

    def take(self, path: str, outcome: Outcome) -> list[Command]:
        """Hear how what was started at `path` went; return what follows."""
        task = self._tasks.get(path)
        if task is not None:
            self._take(task, outcome)
        return self._work()

    def cancel(self) -> list[Command]:
        """End the run as cancelled, once everything open has ended; before `begin`: at once."""
        self._end(End("cancelled"), "cancelled")
        return self._work()

    def fail(self, error: StepError) -> list[Command]:
        """End the run as failed by one of its limits, once everything open has ended."""
        facts = {"code": error.code, "text": error.text, "facts": error.facts}
        self._end(End("failed", error=facts), "cancelled")
        return self._work()

    @property
    def allowance(self) -> Allowance:
        """What the values of this run may still grow to."""
        return self._scope.allowance

    @property
    def is_idle(self) -> bool:
        """Nothing runs or is about to: what is open waits for a time, a signal or a person."""
        return not self.running and not self._ready

    # The run's end

    def run_done(self) -> None:
        self._settle_result()

    def run_failed(self, error: Error) -> None:
        self._ending = End("failed", error=error)
        self.run_closed()

    def run_closed(self) -> None:
        """Everything open has ended after the run was told to end."""
        if not self.close_found(("",), "cancelled"):
            return  # an effect in doubt keeps the run open until a person has decided
        ending = self._ending or End("cancelled")
        if ending.state == "done":
            self._settle_result()
        else:
            self._finish(ending)

    def _end(self, end: End, reason: Closing) -> None:
        if self._ending is None and not self.ended:
            self._ending = end
            if self._root.blocks:
                self._root.close_blocks(reason)

    def _settle_result(self) -> None:
        try:
            self.allowance.begin()
            result = {one.name: render(one.value, self._scope) for one in self.plan.result}
            self.allowance.keep(result)
        except StepError as error:
            self._finish(End("failed", error={"code": error.code, "text": error.text}))
            return
        self._finish(End("done", result=result, problems=self.problems))

    def _finish(self, end: End) -> None:
        if not self.ended:
            self.ended = True
            self.commands.append(Finish(end))

    # One step

    def visit(self, block: Block, step: StepPlan) -> None:
        path = block.prefix + step.id
        meter = block.meter if step.limit_nano is None else Meter(step.limit_nano, block.meter)
        task = Task(step, path, block, meter)
        block.task = task
        self.executions += 1
        record = self.found.take(path)
        if self.executions > self.limits.steps and record is None:
            self._stop_at_limit(task)
            return
        if record is not None:
            if meter is not self.meter:
                self._count_again(meter, path, record)
            self._replay(task, record)
        elif step.step.off:
            self.settle(row(task, "skipped", reason="off"))
            self.over(task)
            self.later(self.advance, block)
        else:
            self._open(task, {})

    def _stop_at_limit(self, task: Task) -> None:
        most = f"{self.limits.steps:,}"
        text = f"This run reached its limit of {most} steps, so we stopped it."
        found = row(task, "failed", error={"code": TOO_MANY, "text": text, "facts": {"most": most}})
        self.settle(found)
        self.over(task)
        self._end(ending_of(found), "cancelled")
        self.later(self.advance, task.block)

    def _count_again(self, meter: Meter, path: str, record: Record) -> None:
        """Charge what an earlier execution spent to the limits around a step.

        The run's own meter has it from the start; what lies inside a step that isn't finished
        is counted when it is reached.
        """
        spent = self.found.cost_below(path) if record.ends_path else self.found.cost(path)
        meter.add(spent)
        self.meter.spent_nano -= spent

    def _open(self, task: Task, decided: dict[str, Any]) -> None:
        frame = FRAMES.get(task.step.kind_name)
        if frame is None:
            self._start(task)
            return
        task.state = "holding"
        holder = frame(self, task)
        task.frame = holder
        try:
            holder.begin(decided)
        except StepError as error:
            self.holder_failed(task, problem(task, error))

    def _start(self, task: Task) -> None:
        task.state = "ready"
        if task.step.instant:
            self._launch(task)
        else:
            self._ready.append(task)

    def _launch(self, task: Task) -> None:
        task.state = "running"
        self._tasks[task.path] = task
        found, task.found = task.found, None
        self.commands.append(
            Start(task.path, task.step, task.attempt, task.scope, task.meter, found)
        )

    def _fill_places(self) -> None:
        while self._ready and self.running < self.limits.at_once:
            task = self._ready.popleft()
            if task.state == "ready":
                task.counted = True
                self.running += 1
                self._launch(task)

    # What an attempt came to

    def _take(self, task: Task, outcome: Outcome) -> None:
        if task.counted:
            task.counted = False
            self.running -= 1
        match outcome:
            case Due() if task.frame is not None:
                self._tasks.pop(task.path, None)
                task.frame.go_on()
            case Due():
                task.attempt += task.state == "retrying"  # else it waited for a service
                self._start(task)
            case Succeeded() if task.step.kind_name == "stop" and self._ending is not None:
                self._stopped(task, False, outcome.spent)  # another one was first
            case Succeeded(result, spent):
                self.settle(row(task, "succeeded", spent, result=result))
                self.succeed(task, result)
            case Failed(error, spent):
                self._attempt_failed(task, error, spent)
            case Doubtful(error, spent):
                self._in_doubt(task, error, spent)
            case Stopped(begun, spent):
                self._stopped(task, begun, spent)
            case Waits(what, spent):
                self._wait(task, what, spent)

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
        self._tasks[task.path] = task
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
        self._tasks[task.path] = task
        self.unknown += 1

    def _wait(self, task: Task, what: WaitFor, spent: Spent) -> None:
        record = row(task, "waiting", spent, request=wait_request(what))
        record.due_s, record.due_at = what.due_s, what.due_at
        self.settle(record)
        if task.block.closing:
            self.drop(task)
        else:
            self._await(task, record)

    def pause(self, task: Task, after_s: float) -> None:
        """Let a step that holds steps go on in a while."""
        self._tasks[task.path] = task
        self.commands.append(RetryLater(task.path, after_s, pause=True))

    def end_pause(self, task: Task) -> None:
        if self._tasks.pop(task.path, None) is not None:
            self.commands.append(Cancel(task.path))

    def _await(self, task: Task, record: Record) -> None:
        task.state = "waiting"
        if (held := held_s(record)) is not None:
            task.held_s, task.found = held, record
        self._tasks[task.path] = task
        self.commands.append(Wait(task.path, record))

    def drop(self, task: Task) -> None:
        """Close what has not begun, or waits; a row that says otherwise is corrected."""
        if task.state != "ready" or task.found is not None:
            # A failed attempt stays what it is; the one that doesn't follow is closed.
            task.attempt += task.state == "retrying"
            self.commands.append(Cancel(task.path))
            self.settle(closed_row(row(task, "intent"), task.block.closing or "cancelled"))
        self.over(task)
        self.later(self.block_ended, task.block)

    def succeed(self, task: Task, result: dict[str, Any]) -> None:
        put(task.scope, {task.step.id: result})
        self.over(task)
        if task.step.kind_name == "stop":
            self._end(ending_of(row(task, "succeeded", result=result)), "not_needed")
        self.later(self.advance, task.block)

    def failed(self, task: Task, error: Error) -> None:
        """A step failed for good: what its `on_failure` says."""
        do = task.step.step.on_failure.do
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
        self._tasks.pop(task.path, None)
        task.frame = FailureFrame(self, task)
        task.frame.begin({})

    def over(self, task: Task) -> None:
        task.state = "closed"
        self._tasks.pop(task.path, None)

    # Rows of an earlier execution

    def _replay(self, task: Task, record: Record) -> None:
        task.attempt = record.attempt
        match record.state:
            case "succeeded" | "reused":
                if task.step.kind.container:
                    put(task.scope, restored(task.step, record, self.found))
                self.succeed(task, record.result or {})
            case "skipped" if record.reason in PASSED_BY:
                if record.reason == "sent_before":  # it keeps the value it gave in the earlier run
                    put(task.scope, {task.step.id: record.result or {}})
                self.over(task)
                self.later(self.advance, task.block)
            case "skipped" | "cancelled":
                task.block.closing = "cancelled"
                self.over(task)
                self.later(self.block_ended, task.block)
            case "failed" if record.ends_path:
                self.failed(task, record.error or {})
            case "failed":
                self._retry(task, record, record.due_s or 0.0)
            case "waiting":
                self._await(task, record)
            case "unknown":
                self._replay_unknown(task, record)
            case _:
                self._replay_intent(task, record)

    def _replay_intent(self, task: Task, record: Record) -> None:
        if task.step.kind.container:
            self._open(task, decisions(record.request))
        elif in_doubt(record) or self.found.has_call_in_doubt(record.path):
            self.settle(doubtful_row(record))
            self._keep_unknown(task)
        else:
            task.found = record
            self._start(task)

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

    def _work(self) -> list[Command]:
        while self.moves:
            move, about = self.moves.popleft()
            move(about)
        self._fill_places()
        commands, self.commands = self.commands, []
        return commands
