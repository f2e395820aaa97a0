"""The builder page as data: rows, blocks, places for new steps, and what is left to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup, escape

from webapp.engine.callees import Callees
from webapp.engine.plan import Plan, Step
from webapp.engine.steps import KINDS
from webapp.engine.tools import TOOLS
from webapp.workflows.blocks import ROOT, Doc, Slot, inner_blocks, inner_ids, places
from webapp.workflows.plans import Finding
from webapp.workflows.summaries import Piece, summary
from webapp.workflows.wording import step_title

_JOIN: Final = re.compile(r"\.(all|any)\.(\d+)(?:\.(all|any)\.(\d+))?")


@dataclass(slots=True)
class Lane:
    """A block of steps inside a row."""

    title: str
    first_slot: str
    rows: list[Row]


@dataclass(slots=True)
class Row:
    """One step as its row shows it."""

    id: str
    number: int
    kind: str
    name: str
    summary: Markup
    off: bool
    problem: str
    outside: bool
    note: str
    first: bool
    last: bool
    next_slot: str
    lanes: list[Lane] = field(default_factory=list)
    side: bool = False
    href: str = ""
    move_href: str = ""
    note_href: str = ""


def rows_of(doc: Doc, plan: Plan, findings: list[Finding], callees: Callees) -> list[Row]:
    """Return the rows of the root block, with those inside them."""
    steps = {step.id: step for step in plan.walk()}
    marks: dict[str, str] = {}
    for finding in findings:
        if finding.kind != "look":
            marks.setdefault(finding.step, "Broken" if finding.kind == "broken" else "To do")
    titles = {step.id: step.name or step.kind for step in steps.values()}
    titles |= {workflow: callee.name for (workflow, _), callee in callees.items()}
    numbers = iter(range(1, 1_000))
    return _rows(doc.get("steps") or [], ROOT, "", _Known(steps, marks, titles, numbers))


@dataclass(frozen=True, slots=True)
class _Known:
    steps: dict[str, Step]
    marks: dict[str, str]
    titles: dict[str, str]
    numbers: Iterator[int]


def _rows(steps: list[Doc], parent: str, lane: str, known: _Known) -> list[Row]:
    rows = []
    for index, step in enumerate(steps):
        row = Row(
            id=step["id"],
            number=next(known.numbers),
            kind=step.get("kind", ""),
            name=step_title(step),
            summary=pieces_as_markup(summary(step, known.titles)),
            off=bool(step.get("off")),
            problem=known.marks.get(step["id"], ""),
            outside=_goes_outside(known.steps.get(step["id"])),
            note=str(step.get("note") or ""),
            first=index == 0,
            last=index == len(steps) - 1,
            next_slot=str(Slot(parent, lane, index + 1)),
            side=step.get("kind") == "parallel",
        )
        row.lanes = [
            Lane(label, str(Slot(step["id"], key, 0)), _rows(inside, step["id"], key, known))
            for key, label, inside in inner_blocks(step)
        ]
        rows.append(row)
    return rows


def _goes_outside(step: Step | None) -> bool:
    """Whether the step changes something in another system."""
    if step is None or step.kind not in {"http", "tool"}:
        return False
    if step.config is None:
        return step.kind == "http" and step.with_.get("method", "GET") not in {"GET", "HEAD"}
    if step.kind == "tool" and step.config.tool not in TOOLS:
        return False
    return str(KINDS[step.kind].effect(step.config).value) != "none"


def pieces_as_markup(pieces: list[Piece]) -> Markup:
    return Markup("").join(
        Markup('<span class="val">{}</span>').format(text) if is_value else escape(text)
        for text, is_value in pieces
    )


def slots_in_words(doc: Doc, moving: str = "") -> list[tuple[str, str]]:
    """Return every place a step can be put at, in words; none inside `moving` itself."""
    all_places = places(doc)
    inside = set()
    for place in all_places:
        if place.step["id"] == moving:
            inside = {moving, *inner_ids(place.step)}
    found = [("root::0", "At the very start")]
    for place in all_places:
        if place.step["id"] in inside:
            continue
        title = f"{place.number} {step_title(place.step)}"
        for key, label, _ in inner_blocks(place.step):
            found.append((str(Slot(place.step["id"], key, 0)), f"In {title}: {label}, first"))
        slot = place.slot
        found.append((str(Slot(slot.parent, slot.lane, slot.index + 1)), f"After {title}"))
    return found


def slot_in_words(doc: Doc, slot: str) -> str:
    return dict(slots_in_words(doc)).get(slot, "here")


def add_groups() -> list[dict[str, Any]]:
    """Return what can be added: kinds of steps by group, each tool by its own name."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS.values():
        if kind.name == "tool":
            continue
        item = {"kind": kind.name, "label": kind.label, "what": kind.about}
        groups.setdefault(kind.group, []).append(item)
    tools = [
        {"kind": "tool", "value": f"tool:{tool.name}", "label": tool.label,
         "what": tool.description}
        for tool in TOOLS.values()
    ]  # fmt: skip
    groups.setdefault("Tools", []).extend(tools)
    return [{"title": title, "kinds": kinds} for title, kinds in groups.items()]


def left_items(findings: list[Finding], base: str) -> list[dict[str, str]]:
    """Return What's left as links that open the step and lead to the field."""
    return [
        {"text": one.text, "kind": one.kind, "href": f"{base}{_where(one)}"} for one in findings
    ]


def _where(finding: Finding) -> str:
    if finding.step:
        return f"?step={finding.step}#{field_id(finding.field, finding.step)}"
    if finding.field.startswith("result"):
        return f"?step=result#{field_id(f'plan.{finding.field}', 'result')}"
    if finding.field.startswith("inputs"):
        return f"?step=start#{field_id(f'plan.{finding.field}', 'start')}"
    if finding.field.startswith("limits"):
        return f"?step=limits#{field_id(f'plan.{finding.field}', 'limits')}"
    return "?add=root::0#add"


def field_id(pointer: str, step_id: str) -> str:
    """Return the id of the field that a check's pointer is about."""
    if not pointer or pointer == "kind":
        return f"edit-{step_id}"
    if pointer.startswith("on_failure"):
        return "failure-do-0"
    text = _JOIN.sub(_row_of_condition, pointer)
    text = text.replace(".when", ".when.rows.0.value") if text.endswith(".when") else text
    text = text.replace(".where", ".where.rows.0.value") if text.endswith(".where") else text
    return (text if text.startswith(("with", "plan")) else f"step.{text}").replace(".", "-")


def _row_of_condition(found: re.Match[str]) -> str:
    if found[4] is None:
        return f".rows.{found[2]}"
    return f".groups.{found[2]}.rows.{found[4]}"


def flat(rows: list[Row]) -> list[Row]:
    """Return all rows in the order they are read."""
    found: list[Row] = []
    waiting = list(reversed(rows))
    while waiting:
        row = waiting.pop()
        found.append(row)
        inner = [one for lane in row.lanes for one in lane.rows]
        waiting += reversed(inner)
    return found
