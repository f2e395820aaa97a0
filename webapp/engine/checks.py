"""What is left to do in a plan, what is broken, and what is worth a look."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from webapp.engine.callees import NOBODY, Callees
from webapp.engine.check_approvals import check_approvals
from webapp.engine.check_fields import asked_at_start, asked_in_step
from webapp.engine.check_limits import beyond_run, never_ends
from webapp.engine.check_settings import check_settings
from webapp.engine.check_workflows import check_call
from webapp.engine.config_walk import Slot, slots_of
from webapp.engine.grammar import Field, references
from webapp.engine.plan import FAILURE, Plan, PlanError, PlanProblem, Step, load_plan
from webapp.engine.readings import is_empty
from webapp.engine.sight import Seen, Sight, ValueGroup, cycle_in, lane_needs, values_at, walk
from webapp.engine.steps import KINDS
from webapp.engine.tools import TOOLS

__all__ = ["Check", "ValueGroup", "check", "check_document", "values_at"]

LISTS = {("each", "list"), ("list", "from")}
"""Settings that take nothing but a list."""
FREE_MODELS = {"practice"}
Kind = Literal["todo", "look", "broken"]
_NUMBERED = re.compile(r"(Step \d+|Result|Limits): ")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes: kind: "todo" and "broken" keep a plan from going live, "look" doesn't; step: its
    id, "" for the plan itself; field: pointer inside the step, "with.lanes.2.needs", or inside
    the plan; text: a sentence for people that names the step.
    """

    kind: Kind
    step: str
    field: str
    code: str
    text: str

    @property
    def short(self) -> str:
        """The sentence without the step's number, for where it is plain which step is meant."""
        _, _, rest = self.text.partition(": ")
        is_numbered = _NUMBERED.match(self.text) is not None
        return f"{rest[:1].upper()}{rest[1:]}" if is_numbered else self.text


def check(plan: Plan, tools: Mapping[str, Any] = TOOLS, callees: Callees = NOBODY) -> list[Check]:
    """Return everything to be said about a plan, in the order it is read.

    Args:
        plan: may be a draft.
        tools: by name, those that can be used.
        callees: the workflows that its steps run, as far as they are known.
    """
    checker = _Checker(plan, tools, callees)
    end = walk(plan, checker.step, callees)
    checker.behind_stop(plan.steps)
    checker.nobody_asked()
    for kind, step, field, code, text in check_approvals(plan, checker.place):
        checker.say(kind, step, field, code, text)
    found = sorted(checker.found, key=lambda one: checker.place[one.step])
    return checker.start() + found + checker.result(end) + checker.whole()


def check_document(doc: Any, tools: Mapping[str, Any] = TOOLS) -> tuple[Plan | None, list[Check]]:
    """Read a document as a draft and check it; what can't be read is broken."""
    try:
        plan = load_plan(doc, "draft")
    except PlanError as error:
        return None, [_broken(problem, doc) for problem in error.problems]
    return plan, check(plan, tools)


def _broken(problem: PlanProblem, doc: Any) -> Check:
    """Name the step in which a document's problem lies."""
    step, rest, at = "", problem.pointer, doc
    parts = problem.pointer.split("/")[1:]
    for n, part in enumerate(parts):
        if isinstance(at, dict) and isinstance(at.get("id"), str) and at["id"].startswith("s_"):
            step, rest = at["id"], "/" + "/".join(parts[n:])
        at = _below(at, part)
    return Check("broken", step, rest.lstrip("/").replace("/", "."), problem.code, problem.text)


def _below(doc: Any, part: str) -> Any:
    if isinstance(doc, dict):
        return doc.get(part.replace("~1", "/").replace("~0", "~"))
    if isinstance(doc, list) and part.isdecimal() and int(part) < len(doc):
        return doc[int(part)]
    return None


class _Checker:
    def __init__(self, plan: Plan, tools: Mapping[str, Any], callees: Callees) -> None:
        self.plan = plan
        self.tools = tools
        self.callees = callees
        self.place = {step.id: n for n, step in enumerate(plan.walk(), 1)}
        self.steps = {step.id: step for step in plan.walk()}
        self.found: list[Check] = []

    def say(self, kind: Kind, step: Step, field: str, code: str, text: str) -> None:
        sentence = f"Step {self.place[step.id]}: {text}"
        self.found.append(Check(kind, step.id, field, code, sentence))

    def step(self, step: Step, seen: Seen, inside: Seen) -> None:
        if step.off:
            return
        for lack in step.lacks:
            self.lack(step, lack)
        if step.config is not None:
            for slot in slots_of(step.config):
                self.slot(step, slot, inside if _looks_inside(step, slot.at) else seen)
        for look in (
            self.lanes, self.settings, self.cost, self.limits, self.workflow
        ):  # fmt: skip
            look(step)
        for block in step.blocks.values():
            self.behind_stop(block)

    def lack(self, step: Step, lack: PlanProblem) -> None:
        field = lack.pointer.lstrip("/").replace("/", ".")
        if lack.code == "C-KIND-UNKNOWN":
            self.say("broken", step, "kind", lack.code, lower_first(lack.text))
        elif lack.code == "C-FIELD-EMPTY" and (label := _label(step, field)):
            self.say("todo", step, field, lack.code, f"fill in “{label}”")
        else:
            self.say("todo", step, field, lack.code, lower_first(lack.text))

    # Values

    def slot(self, step: Step, slot: Slot, seen: Seen) -> None:
        field = f"with.{slot.at}"
        if slot.required and is_empty(slot.value):
            self.say("todo", step, field, "C-FIELD-EMPTY", f"fill in “{slot.label}”")
            return
        alone = isinstance(slot.value, list) and len(slot.value) == 1
        for ref, part, _ in references(slot.value):
            found = self.reference(ref, seen, slot.rows)
            if isinstance(found, tuple):
                self.say("broken", step, field, *found)
                continue
            if alone and slot.required and found.empty and "if_empty" not in part:
                text = f"{found.title} may be empty: say what “{slot.label}” is then"
                self.say("todo", step, field, "C-REF-MAYBE-EMPTY", text)
            if alone and (step.kind, slot.at) in LISTS and not part.get("adjust"):
                self.list_type(step, field, found)

    def list_type(self, step: Step, field: str, found: _Target) -> None:
        if found.type not in {"list", "any"}:
            text = f"{found.title} is no list; choose a list"
            self.say("broken", step, field, "C-REF-TYPE", text)

    def reference(self, ref: list[Any], seen: Seen, rows: bool) -> _Target | tuple[str, str]:
        """Return what a reference leads to, or the code and words of what is wrong with it."""
        root = ref[0]
        if root == "secret" or (root == "item" and rows):
            return _Target("", "any", empty=False)
        if root == "item":
            return "C-REF-GONE", "a row can be used inside the operations of a list only"
        sight = seen.get(root)
        if sight is None:
            return self.unseen(root)
        return _target(sight, ref)

    def unseen(self, root: str) -> tuple[str, str]:
        if root not in self.steps:
            return "C-REF-GONE", "it uses a value of a step that no longer exists"
        text = f"it uses a value of step {self.place[root]}, which can't be seen from here"
        return "C-REF-LATER", text

    # Kinds

    def lanes(self, step: Step) -> None:
        if step.kind != "parallel":
            return
        needs = lane_needs(step)
        for n, (lane, wanted) in enumerate(needs.items()):
            for need in wanted:
                if need not in needs:
                    text = f"the lane “{lane}” needs a lane that no longer exists"
                    self.say("broken", step, f"with.lanes.{n}.needs", "C-LANE-GONE", text)
        if cycle := cycle_in(needs):
            at = f"with.lanes.{list(needs).index(cycle[0])}.needs"
            lanes = f"the lanes {_joined(cycle)} wait for each other, so none of them can start"
            alone = f"the lane “{cycle[0]}” waits for itself, so it can't start"
            text = lanes if len(cycle) > 1 else alone
            self.say("broken", step, at, "C-LANE-CYCLE", text)
        config = step.config
        if config is None or config.until == "all":
            return
        if any(needs.values()):
            text = "lanes can need each other only when all lanes have to finish"
            self.say("broken", step, "with.until", "C-FIELD-RANGE", text)
        if getattr(config.until, "n", 1) > len(needs):
            text = f"it waits for {config.until.n} lanes, but there are {len(needs)}"
            self.say("todo", step, "with.until", "C-FIELD-RANGE", text)

    def settings(self, step: Step) -> None:
        for kind, field, code, text in check_settings(step, self.tools):
            self.say(kind, step, field, code, text)
        for field, code, text in asked_in_step(step):
            self.say("todo", step, field, code, text)

    def cost(self, step: Step) -> None:
        if step.kind != "agent" or step.cost_usd or self.plan.limits.cost_usd:
            return
        inline = getattr(step.config, "inline", None)
        if inline is None or inline.model not in FREE_MODELS:
            self.say("look", step, "cost_usd", "C-AGENT-NO-COST-LIMIT", "it has no cost limit")

    def limits(self, step: Step) -> None:
        for field, text in beyond_run(step, self.plan.limits):
            self.say("look", step, field, "C-FIELD-RANGE", text)

    def workflow(self, step: Step) -> None:
        for kind, field, code, text in check_call(step, self.callees):
            self.say(kind, step, field, code, text)

    # Blocks and the whole

    def behind_stop(self, block: list[Step]) -> None:
        for n, step in enumerate(block):
            if _stops(step) and n + 1 < len(block):
                later = block[n + 1]
                text = f"it is never reached, since step {self.place[step.id]} ends the run"
                self.say("look", later, "", "C-UNREACHABLE", text)
                return

    def nobody_asked(self) -> None:
        """Say so of the first step that changes something outside before anybody was asked."""
        for step in self.plan.walk():
            if step.off or step.config is None:
                continue
            if step.kind == "approval":
                return
            is_known = step.kind != "tool" or step.config.tool in self.tools
            # What a workflow inside does is looked at there.
            if not is_known or step.kind == "workflow":
                continue
            if KINDS[step.kind].effect(step.config).value != "none":
                text = "it changes something outside, and nobody is asked before"
                self.say("look", step, "", "C-NO-APPROVAL-BEFORE-OUTSIDE", text)
                return

    def result(self, seen: Seen) -> list[Check]:
        found = []
        for n, output in enumerate(self.plan.result):
            for ref, _, _ in references(output.value):
                target = self.reference(ref, seen, rows=False)
                if isinstance(target, tuple):
                    code, text = target
                    words = f"Result “{output.label or output.name}”: {text}"
                    found.append(Check("broken", "", f"result.{n}.value", code, words))
        return found

    def start(self) -> list[Check]:
        found = asked_at_start(self.plan)
        return [Check("todo", "", field, code, text) for field, code, text in found]

    def whole(self) -> list[Check]:
        if not self.plan.steps:
            return [Check("todo", "", "steps", "C-ALL-OFF", "Add a first step")]
        if all(step.off for step in self.plan.steps):
            return [Check("todo", "", "steps", "C-ALL-OFF", "All steps are off: turn one on")]
        if text := never_ends(self.plan):
            return [Check("todo", "", "limits.steps", "C-FIELD-RANGE", f"Limits: {text}")]
        return []


@dataclass(frozen=True, slots=True)
class _Target:
    title: str
    type: str
    empty: bool


def _target(sight: Sight, ref: list[Any]) -> _Target | tuple[str, str]:
    """Follow a reference through the fields that are known."""
    empty, fields, is_known = sight.may_be_empty, list(sight.fields), sight.is_known
    found: Field | None = None
    for depth, name in enumerate(ref[1:]):
        is_open = not fields and (depth > 0 or not is_known)
        if is_open or isinstance(name, int):
            return _Target(f"“{sight.title}”", "any", empty)
        found = next((field for field in fields if field.name == name), None)
        if found is None:
            if not is_known or name == "failed":
                return _Target(f"“{sight.title}”", "any", empty)
            return "C-REF-GONE", f"“{sight.title}” has no value called “{name}” any more"
        empty = empty or not found.required
        fields, is_known = list(found.fields), True
    if found is None:
        return _Target(f"“{sight.title}”", "record", empty)
    return _Target(f"“{found.label or found.name}”", found.type, empty)


def _stops(step: Step) -> bool:
    """Whether nothing behind the step can be reached."""
    if step.off:
        return False
    own: Iterator[list[Step]] = (b for key, b in step.blocks.items() if key != FAILURE)
    match step.kind:
        case "stop":
            return True
        case "if":
            blocks = list(own)
            return "otherwise" in step.blocks and all(_block_stops(block) for block in blocks)
        case "parallel":
            return any(_block_stops(block) for block in own) and _waits_for_all(step)
    return False


def _block_stops(block: list[Step]) -> bool:
    return any(_stops(step) for step in block)


def _waits_for_all(step: Step) -> bool:
    return step.config is not None and step.config.until == "all"


def _label(step: Step, field: str) -> str:
    """The form's label of a top-level setting."""
    word, _, key = field.partition(".")
    kind = KINDS.get(step.kind)
    if word != "with" or kind is None:
        return ""
    for name, setting in kind.config.model_fields.items():
        if (setting.alias or name) == key:
            return setting.title or key.replace("_", " ").capitalize()
    return ""


def _joined(lanes: list[str]) -> str:
    names = [f"“{lane}”" for lane in lanes]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _looks_inside(step: Step, at: str) -> bool:
    """Whether a setting is worked out at the end of the step's own block."""
    if step.kind == "repeat":
        return at.startswith("until") or re.match(r"carry\.\d+\.value", at) is not None
    return at.startswith("collect.")
