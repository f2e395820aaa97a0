"""The step that does the same for each item of a list."""

from __future__ import annotations

from typing import Any

from webapp.engine.allowance import run_too_large
from webapp.engine.errors import StepError
from webapp.engine.frames import Block, Error, HolderFrame, Task, settle_if_ended
from webapp.engine.journal import End
from webapp.engine.parts import Split, may_split
from webapp.engine.recovery import ENDS_RUN
from webapp.engine.rows import ending_of_part
from webapp.engine.values import Scope, render


class EachFrame(HolderFrame):
    """Some items at once; or, of a long list, some parts of it at once, each in a run of its own.

    Whether a list is split is decided once and kept: what is done lies where it was decided.
    """

    def begin(self, decided: dict[str, Any]) -> None:
        self.is_new = not decided
        super().begin(decided)

    def open_first(self) -> None:
        config, part = self.task.step.config, self.scheduler.part_at(self.task.path)
        self.first = 0
        self.next = 0
        self.at_once: int = config.at_once
        self.failed: list[dict[str, Any]] = []
        self.split: Split | None = None
        if part is not None:
            self.items, self.first, self.at_once = part.items, part.first, part.at_once
            self.decided["now"] = dict(part.now)
        else:
            self.items = self._items()
            self._split_long_list()
        self.count = self.split.count if self.split is not None else len(self.items)
        self.results: list[list[Any]] = [[] for _ in range(self.count)]
        for _ in range(min(self.at_once, self.count)):
            self._open_next()
        if not self.blocks:
            self.scheduler.later(settle_if_ended, self)

    def _items(self) -> list[Any]:
        config = self.task.step.config
        self.scope.allowance.begin()
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

    def _split_long_list(self) -> None:
        size = self.scheduler.each_split
        if self.is_new and size and len(self.items) > size and may_split(self.task):
            self.decided["split"] = size
        if "split" in self.decided:
            self.split = Split(
                self.scheduler, self.task, self.items, self.decided["now"], self.decided["split"]
            )
            self.at_once = self.split.beside

    def _open_next(self) -> None:
        if self.closing:
            return
        number = self.next
        self.next += 1
        if self.split is None:
            self._open_item(number)
        else:
            self._open_part(self.split, number)

    def _open_item(self, number: int) -> None:
        index = self.first + number
        roots = {self.task.step.id: {"item": self.items[number], "index": index}}
        scope = Scope(roots, around=self.task.scope)
        steps = self.task.step.config.steps
        if not steps and self.scheduler.has_too_many(self.task, 1):
            return  # lists in lists without a step would be looked through without an end
        self.open_block(number, steps, f"{self.task.path}[{index}]/", scope)

    def _open_part(self, split: Split, number: int) -> None:
        path = split.path(number)
        self.scheduler.open_parts.add(path)
        scope = Scope({}, around=self.task.scope)
        block = Block(self, number, [], f"{path}/", scope, self.task.meter)
        self.blocks[number] = block
        block.task = Task(split.step(number), path, block, self.task.meter)
        self.scheduler.later(self.scheduler.enter, block.task)

    def block_done(self, block: Block) -> None:
        self.forget(block)
        if self.split is None:
            self._item_done(block)
        elif self._part_done(self.split, block):
            return
        self._item_ended()

    def _item_done(self, block: Block) -> None:
        try:
            self.results[block.key] = [self._collected(block.scope)]
        except StepError as error:
            self._item_failed(self.first + block.key, {"code": error.code, "text": error.text})

    def _part_done(self, split: Split, block: Block) -> bool:
        """Take what a part gave; tell whether a step in it has ended the whole run."""
        result = block.scope.roots[self.task.step.id]
        if self.scheduler.part_ended(self.task, split.path(block.key), result["steps"]):
            return True
        self.scheduler.problems |= bool(result.get("problems"))
        if result.get("stop"):
            self.scheduler.end(End("done"), "not_needed")
            return True
        self.results[block.key] = result["items"] if self.collect else [None] * result["count"]
        self.failed += result["failed"]
        self.scope.allowance.hold(result["items"])
        return False

    @property
    def collect(self) -> Any:
        return self.task.step.config.collect

    def _collected(self, item: Scope) -> dict[str, Any]:
        scope = Scope({"now": self.decided["now"]}, around=item)
        scope.allowance.begin()
        collected = {output.name: render(output.value, scope) for output in self.collect}
        scope.allowance.keep(collected)
        if scope.allowance.is_used_up:
            raise run_too_large()
        return collected

    def block_failed(self, block: Block, error: Error) -> None:
        self.forget(block)
        if self.split is None:
            self._item_failed(self.first + block.key, error)
        elif self._part_failed(self.split, block, error):
            return
        self._item_ended()

    def _part_failed(self, split: Split, block: Block, error: Error) -> bool:
        """Say what a failed part means; tell whether it has ended the whole run."""
        facts = error.get("facts") or {}
        own = facts.get("error") or {}
        if error["code"] in ENDS_RUN:
            self.scheduler.end(ending_of_part(error), "cancelled")
            return True
        steps = int(facts.get("steps") or 0)
        if self.scheduler.part_ended(self.task, split.path(block.key), steps):
            return True
        if "index" in own:  # one of its items failed, and that is to stop the rest
            self.fail(own)
        elif self.task.step.config.item_failure == "stop":
            self.fail({**error, "path": self.task.path})
        else:
            for index in split.indexes(block.key):
                self._item_failed(index, error)
        return False

    def _item_failed(self, index: int, error: Error) -> None:
        if self.task.step.config.item_failure == "stop":
            self.fail({**error, "index": index})
            return
        self.scheduler.problems = True
        self.failed.append({"index": index, "code": error["code"], "text": error["text"]})

    def _item_ended(self) -> None:
        if self.error is None and self.next < self.count:
            self._open_next()
        elif not self.blocks:
            self.scheduler.later(settle_if_ended, self)

    def all_closed(self) -> None:
        if self.error is not None:
            self.scheduler.holder_failed(self.task, self.error)
            return
        self.failed.sort(key=lambda one: one["index"])
        done = [result for results in self.results for result in results]
        result = {
            "items": done if self.collect else [],
            "count": len(done),
            "failed": self.failed,
        }
        self.scheduler.holder_succeeded(self.task, result)
