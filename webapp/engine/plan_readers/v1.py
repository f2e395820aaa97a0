"""Reads format 1, the present one.

The recursion over blocks is ours, so that depth and number of steps are refused before anything
deep is built, every problem gets its exact pointer, and a draft whose settings are incomplete
still has all its inner steps.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ValidationError

from webapp.engine.config_walk import slots_of
from webapp.engine.plan import (
    FAILURE,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_STEPS,
    MAX_VALUES,
    Level,
    Plan,
    PlanError,
    PlanProblem,
    Step,
)
from webapp.engine.plan_readers.sentences import may_wait, problems_of, titles_of
from webapp.engine.steps import KINDS

LISTED = {"if": "branches", "parallel": "lanes"}
"""Setting that lists a container's blocks, each with an id and steps."""
PLAIN = {"if": {"otherwise": "otherwise"}, "each": {"steps": ""}, "repeat": {"steps": ""}}
"""Settings that are themselves blocks, with the block's key."""


def read(doc: dict[str, Any], level: Level) -> Plan:
    """Read a plan of format 1.

    Raises:
        PlanError: with all problems found.
    """
    _refuse_large(doc)
    reader = _Reader(level)
    steps = reader.block(doc.get("steps", []), "/steps", depth=0)
    plan = reader.model(Plan, {**doc, "steps": steps}, doc, "")
    if plan is not None:
        reader.check_names(plan)
    if plan is None or reader.problems:
        raise PlanError(reader.problems)
    return plan


def _refuse_large(doc: dict[str, Any]) -> None:
    try:
        written = json.dumps(doc, ensure_ascii=False, default=str).encode("utf-8", "replace")
    except RecursionError:
        raise PlanError([PlanProblem("", "P-SIZE", "The plan is nested too deeply")]) from None
    if len(written) > MAX_BYTES:
        raise PlanError([PlanProblem("", "P-SIZE", "A plan has at most 1 MiB")])


class _Reader:
    def __init__(self, level: Level) -> None:
        self.level = level
        self.problems: list[PlanProblem] = []
        self.ids: set[str] = set()
        self.count = 0

    def say(self, pointer: str, code: str, text: str) -> None:
        self.problems.append(PlanProblem(pointer, code, text))

    def block(self, doc: Any, at: str, depth: int) -> list[Step]:
        if not isinstance(doc, list):
            self.say(at, "P-TYPE", "Steps are a list")
            return []
        if doc and depth > MAX_DEPTH:
            self.say(at, "C-DEPTH", f"Steps may lie inside each other at most {MAX_DEPTH} deep")
            return []
        steps = []
        for n, one in enumerate(doc):
            self.count += 1
            if self.count > MAX_STEPS:
                if self.count == MAX_STEPS + 1:
                    self.say(f"{at}/{n}", "C-STEPS", f"A plan has at most {MAX_STEPS} steps")
                break
            step = self.step(one, f"{at}/{n}", depth)
            if step is not None:
                steps.append(step)
        return steps

    def step(self, doc: Any, at: str, depth: int) -> Step | None:
        if not isinstance(doc, dict):
            self.say(at, "P-TYPE", "A step is a record")
            return None
        blocks: dict[str, list[Step]] = {}
        settings = doc.get("with", {})
        if not isinstance(settings, dict):
            self.say(f"{at}/with", "P-TYPE", "The settings of a step are a record")
            settings = {}
        filled = self.inner(doc.get("kind"), settings, f"{at}/with", depth, blocks)
        common = {**doc, "with": settings}
        if isinstance(failure := doc.get("on_failure"), dict) and "steps" in failure:
            inside = self.block(failure["steps"], f"{at}/on_failure/steps", depth + 1)
            common["on_failure"] = {**failure, "steps": inside}
            blocks[FAILURE] = inside
        step = self.model(Step, common, doc, at)
        if step is None:
            return None
        if step.id in self.ids:
            self.say(f"{at}/id", "P-ID", f"The id {step.id} is used twice")
        self.ids.add(step.id)
        self.check_failure(step, at)
        step._blocks = blocks
        return self.configured(step, filled, settings, at)

    def inner(
        self,
        kind: Any,
        settings: dict[str, Any],
        at: str,
        depth: int,
        blocks: dict[str, list[Step]],
    ) -> dict[str, Any]:
        """Return the settings with the documents of inner steps replaced by the steps."""
        filled = dict(settings)
        listed = LISTED.get(kind) if isinstance(kind, str) else None
        if listed and isinstance(settings.get(listed), list):
            filled[listed] = [
                self.listed_block(one, f"{at}/{listed}/{n}", depth, blocks)
                for n, one in enumerate(settings[listed])
            ]
        for setting, key in (PLAIN.get(kind, {}) if isinstance(kind, str) else {}).items():
            if setting in settings:
                blocks[key] = self.block(settings[setting], f"{at}/{setting}", depth + 1)
                filled[setting] = blocks[key]
        return filled

    def listed_block(
        self, doc: Any, at: str, depth: int, blocks: dict[str, list[Step]]
    ) -> dict[str, Any]:
        if not isinstance(doc, dict):
            return doc
        inside = self.block(doc.get("steps", []), f"{at}/steps", depth + 1)
        key = doc.get("id")
        if isinstance(key, str):
            if key in blocks or key == "otherwise":
                self.say(f"{at}/id", "P-ID", f"The id {key} is used twice")
            blocks[key] = inside
        return {**doc, "steps": inside}

    def check_failure(self, step: Step, at: str) -> None:
        if step.on_failure.do != "branch" and step.on_failure.steps:
            text = 'Steps for a failure need "do": "branch"'
            self.say(f"{at}/on_failure/steps", "P-KEY", text)

    def configured(
        self, step: Step, filled: dict[str, Any], settings: dict[str, Any], at: str
    ) -> Step:
        kind = KINDS.get(step.kind)
        if kind is None:
            lack = PlanProblem("/kind", "C-KIND-UNKNOWN", f"There is no kind of step “{step.kind}”")
            self.settle_lacks(step, [lack], at)
            return step
        try:
            step._config = kind.config.model_validate(filled)
        except ValidationError as error:
            found = problems_of(error, settings, "/with", titles_of(kind.config))
            self.settle_lacks(step, found, at)
            return step
        if self.level == "live":
            object.__setattr__(step, "with_", step._config)
        self.check_values(step, step._config, at)
        return step

    def settle_lacks(self, step: Step, found: list[PlanProblem], at: str) -> None:
        """Keep with a draft's step what only has to be filled in; refuse everything else."""
        for problem in found:
            if self.level == "draft" and may_wait(problem):
                step._lacks.append(problem)
            else:
                self.say(at + problem.pointer, problem.code, problem.text)

    def check_values(self, step: Step, config: BaseModel, at: str) -> None:
        used = sum(1 for slot in slots_of(config) if isinstance(slot.value, (list, dict)))
        if used > MAX_VALUES:
            text = f"A step uses at most {MAX_VALUES} values; this one uses {used}"
            self.say(f"{at}/with", "P-SIZE", text)

    def check_names(self, plan: Plan) -> None:
        inputs, result = [one.name for one in plan.inputs], [one.name for one in plan.result]
        for word, names in (("inputs", inputs), ("result", result)):
            for n, name in enumerate(names):
                if name is None:
                    self.say(f"/{word}/{n}/name", "C-FIELD-EMPTY", "Enter a name")
                elif name in names[:n]:
                    self.say(f"/{word}/{n}/name", "P-ID", f"The name {name} is used twice")

    def model(self, model: type[Any], filled: Any, doc: Any, at: str) -> Any:
        try:
            return model.model_validate(filled)
        except ValidationError as error:
            self.problems += problems_of(error, doc, at)
            return None
