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
from webapp.engine.commands import Command, Finish, Outcome, Start
from webapp.engine.compiled import StepPlan, compiled, nano
from webapp.engine.errors import StepError
from webapp.engine.frames import Block, Closing, Error, RootFrame, Task, put
from webapp.engine.holders import FRAMES
from webapp.engine.journal import End, Record
from webapp.engine.outcomes import Outcomes
from webapp.engine.parts import Part
from webapp.engine.plan import Limits, Plan
from webapp.engine.ports import Meter
from webapp.engine.recovery import Found, seen_at_end, too_many
from webapp.engine.rows import ending_of, problem, row
from webapp.engine.values import CHANGES, Scope, render

Values = Mapping[str, Any]


class Scheduler(Outcomes):
    """The state of one run.

    Args:
        plan: a live plan.
        inputs: what Start asked for, by name.
        facts: `run` (id, link, started_at, ...), `zone`, `files`; handed to values.
        records: rows of an earlier execution of the same run; see `journal.Record`.
        limits: instead of the plan's own.
        part: what the run does instead of the whole plan.
        each_split: longer lists are done in parts of so many items; 0: none is.
    """

    def __init__(
        self,
        plan: Plan,
        inputs: Values,
        facts: Values,
        records: Iterable[Record] = (),
        limits: Limits | None = None,
        part: Part | None = None,
        each_split: int = 0,
    ) -> None:
        super().__init__(Found(records), compiled(plan))
        self.plan = plan
        self.part, self.each_split = part, each_split
        self.limits = limits or (part.limits if part is not None else plan.limits)
        self.ended = False
        self.meter = Meter(nano(self.limits.cost_usd))
        self.meter.add(self.found.cost_nano)
        self._roots: dict[str, Any] = {"start": inputs, "run": facts.get("run", {}), "now": {}}
        if part is not None:
            self._roots.update(part.seen)
        self._scope = Scope(self._roots, facts=facts)
        self._ready: deque[Task] = deque()
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
        steps, prefix = self.plan.steps, ""
        if self.part is not None:
            steps, prefix = [self.steps[self.part.step].step], self.part.prefix
        block = Block(self._root, "", steps, prefix, self._scope, self.meter)
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
        task = self.tasks.get(path)
        if task is not None:
            self.hear(task, outcome)
        return self._work()

    def cancel(self) -> list[Command]:
        """End the run as cancelled, once everything open has ended; before `begin`: at once."""
        self.end(End("cancelled"), "cancelled")
        return self._work()

    def fail(self, error: StepError) -> list[Command]:
        """End the run as failed by one of its limits, once everything open has ended."""
        facts = {"code": error.code, "text": error.text, "facts": error.facts}
        self.end(End("failed", error=facts), "cancelled")
        return self._work()

    @property
    def allowance(self) -> Allowance:
        """What the values of this run may still grow to."""
        return self._scope.allowance

    @property
    def most_steps(self) -> int:
        return self.limits.steps if self.part is None else self.plan.limits.steps

    @property
    def is_idle(self) -> bool:
        """Nothing runs or is about to: what is open waits for a time, a signal or a person."""
        return not self.running and not self._ready

    # The run's end

    @property
    def is_ending(self) -> bool:
        return self._ending is not None

    def run_done(self) -> None:
        # What it took over of an earlier run and has not come to is not on its way any more.
        if self.close_found(("",), "not_needed"):
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

    def end(self, end: End, reason: Closing) -> None:
        if self._ending is None and not self.ended:
            self._ending = end
            if self._root.blocks:
                self._root.close_blocks(reason)

    def _settle_result(self) -> None:
        try:
            self.allowance.begin()
            result = self._result()
            self.allowance.keep(result)
        except StepError as error:
            self._finish(End("failed", error={"code": error.code, "text": error.text}))
            return
        self._finish(End("done", result=result, problems=self.problems))

    def _result(self) -> dict[str, Any]:
        if self.part is None:
            return {one.name: render(one.value, self._scope) for one in self.plan.result}
        if self.is_ending:  # a step in it said so, of the whole run
            return {"stop": True}
        result: dict[str, Any] = self._roots[self.part.step]
        return result

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
        if self.executions + self.beside > self.limits.steps and record is None:
            self._stop_at_limit(task)
        elif record is not None:
            self._go_on(task, record)
        elif step.step.off:
            self.settle(row(task, "skipped", reason="off"))
            self.over(task)
            self.later(self.advance, block)
        else:
            self.open(task, {})

    def enter(self, task: Task) -> None:
        """Begin a step that stands in no block of the plan, or go on with it."""
        if task.state != "ready":
            return  # it was closed meanwhile
        record = self.found.take(task.path)
        if record is not None:
            self._go_on(task, record)
        else:
            self.start(task)

    def _go_on(self, task: Task, record: Record) -> None:
        if task.meter is not self.meter:
            self._count_again(task, record)
        self.replay(task, record)

    def _stop_at_limit(self, task: Task) -> None:
        found = row(task, "failed", error=too_many(self.most_steps))
        self.settle(found)
        self.over(task)
        self.end(ending_of(found), "cancelled")
        self.later(self.advance, task.block)

    def _count_again(self, task: Task, record: Record) -> None:
        """Charge what an earlier execution spent to the limits around a step.

        The run's own meter has it from the start; what lies inside a step that isn't finished
        is counted when it is reached.
        """
        follows = task.step.kind_name == "approval"  # its rounds are reached by themselves
        is_whole = record.ends_path and not follows
        below = self.found.cost_below if is_whole else self.found.cost
        spent = below(task.path)
        task.meter.add(spent)
        self.meter.spent_nano -= spent

    def open(self, task: Task, decided: dict[str, Any]) -> None:
        frame = FRAMES.get(task.step.kind_name)
        if frame is None:
            self.start(task)
            return
        task.state = "holding"
        holder = frame(self, task)
        task.frame = holder
        try:
            holder.begin(decided)
        except StepError as error:
            self.holder_failed(task, problem(task, error))

    def start(self, task: Task) -> None:
        task.state = "ready"
        if task.step.instant:
            self._launch(task)
        else:
            self._ready.append(task)

    def _launch(self, task: Task) -> None:
        task.state = "running"
        self.tasks[task.path] = task
        found, task.found = task.found, None
        scope = task.scope
        if (told := task.block.owner.tells(task)) is not None:
            scope = Scope({CHANGES: told}, around=scope)
        self.commands.append(Start(task.path, task.step, task.attempt, scope, task.meter, found))

    def _fill_places(self) -> None:
        put_off: list[Task] = []
        while self._ready and self.running < self.limits.at_once:
            task = self._ready.popleft()
            if task.state != "ready":
                continue
            spends = task.spends_of_limit
            if spends and (put_off or self._is_short(task)):
                put_off.append(task)
                continue
            task.counted = True
            self.running += 1
            self.spending[task.step.kind_name] += spends
            self._launch(task)
        self._ready.extendleft(reversed(put_off))

    def _is_short(self, task: Task) -> bool:
        """Whether a step under a limit has to wait for what others give back.

        A run that is started takes all that is left, so it is started while nobody else spends.
        """
        if self.spending["workflow"] or (self.spending.total() and task.step.kind_name != "agent"):
            return True
        left, unspent = task.meter.left_nano or 0, task.meter.unspent_nano or 0
        return self.holding > 0 and left <= 0 < unspent

    def _work(self) -> list[Command]:
        while self.moves:
            move, about = self.moves.popleft()
            move(about)
        self._fill_places()
        commands, self.commands = self.commands, []
        return commands
