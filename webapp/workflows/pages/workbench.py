"""Everything the builder's templates show of one draft, read once for a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.engine.callees import Callees
from webapp.engine.plan import Plan
from webapp.kernel.ids import public_id
from webapp.organizations.service import members_of
from webapp.workflows import blocks, board, callees, drafting, history, service
from webapp.workflows.adjusting import offered
from webapp.workflows.drafting import ENDS
from webapp.workflows.forms.step import NOTHING, Around, element_names, show_end, show_step
from webapp.workflows.pages.frame import frame
from webapp.workflows.plans import Doc, Finding, findings, read
from webapp.workflows.queries import Overview
from webapp.workflows.tokens import TOKEN, Names
from webapp.workflows.visible import Sights

_FEW: Final = 80
"""Values that each field's picker lists at once; with more, the fields share one list."""


@dataclass
class Workbench:
    """A draft on the table."""

    ctx: Context
    opened: Overview
    draft: drafting.Draft

    @classmethod
    def open(cls, ctx: Context, workflow_id: UUID) -> Workbench:
        opened = service.get_workflow(ctx, workflow_id)
        return cls(ctx, opened, drafting.get_draft(ctx, workflow_id))

    @property
    def workflow_id(self) -> UUID:
        return self.opened.workflow.id

    @property
    def doc(self) -> Doc:
        return self.draft.plan

    @cached_property
    def plan(self) -> Plan:
        return read(self.doc)

    @cached_property
    def callees(self) -> Callees:
        return callees.known_to(self.ctx, self.plan, self.workflow_id)

    @cached_property
    def sights(self) -> Sights:
        return Sights(self.plan, self.callees)

    @cached_property
    def findings(self) -> list[Finding]:
        return findings(self.ctx, self.plan, self.doc, self.callees)

    def has(self, step_id: str) -> bool:
        return any(step.id == step_id for step in self.plan.walk())

    def field_names(self, step: str) -> list[str]:
        """Return the names of the fields of an open form, to see whether it changes its shape."""
        if step in ENDS:
            return element_names(show_end(self.doc, step, self.sights))
        one = blocks.step_of(self.doc, step)
        return element_names(show_step(one, self.sights, around=self._around(one)))

    def _around(self, step: Doc) -> Around:
        """Return whom the step may ask, or which workflows it may run."""
        match step.get("kind"):
            case "approval":
                found = members_of(self.ctx)
                people = [(public_id("usr", member.id), member.person.name) for member in found]
                return Around(people=people, earlier=self._earlier(step["id"]))
            case "workflow":
                chosen = str((step.get("with") or {}).get("workflow") or "")
                return Around(
                    workflows=callees.choices(self.ctx, self.workflow_id),
                    versions=callees.numbers_of(self.ctx, chosen),
                )
        return NOTHING

    def _earlier(self, step_id: str) -> list[tuple[str, str]]:
        """Return the steps before this one in its block, each with its number and title."""
        numbers = {step.id: n for n, step in enumerate(self.plan.walk(), 1)}
        slot = blocks.place_of(self.doc, step_id).slot
        before = blocks.block_at(self.doc, slot)[: slot.index]
        return [
            (one["id"], f"{numbers[one['id']]}. {self.sights.titles[one['id']]}") for one in before
        ]

    def shown(
        self,
        *,
        step: str = "",
        add: str = "",
        move: str = "",
        note: str = "",
        more: Mapping[str, int] | None = None,
        errors: Mapping[str, str] | None = None,
        typed: Mapping[str, str] | None = None,
        pick: str = "",
    ) -> dict[str, Any]:
        """Return the values of the builder's templates."""
        values = frame(self.opened)
        base = values["base"]
        rows = board.rows_of(self.doc, self.plan, self.findings, self.callees)
        for row in board.flat(rows):
            row.href = f"{base}?step={row.id}#edit-{row.id}"
            row.move_href = f"{base}?move={row.id}#move"
            row.note_href = f"{base}?note={row.id}#note-text"
        undo, redo = history.undoable(self.ctx, self.workflow_id)
        values |= {
            "rows": rows,
            "doc": self.doc,
            "limits": self.plan.limits,
            "rev": self.draft.rev,
            "saved_at": self.draft.changed_at,
            "undo_says": undo,
            "redo_says": redo,
            "can_edit": self.ctx.may(Permission.EDIT_WORKFLOWS),
            "left": board.left_items(self.findings, base),
            "open": step,
            "open_row": next((row for row in board.flat(rows) if row.id == step), None),
            "add": add,
            "add_words": board.slot_in_words(self.doc, add) if add else "",
            "add_groups": board.add_groups() if add else [],
            "move": next((row for row in board.flat(rows) if row.id == move), None),
            "note": next((row for row in board.flat(rows) if row.id == note), None),
            "move_slots": board.slots_in_words(self.doc, move) if move else [],
            "errors": errors or {},
            "focus": "",
        }
        if step:
            values |= self._form(step, more or {}, errors or {}, typed or {}, pick)
        return values

    def _form(
        self,
        step: str,
        more: Mapping[str, int],
        errors: Mapping[str, str],
        typed: Mapping[str, str],
        pick: str,
    ) -> dict[str, Any]:
        if step in ENDS:
            form: Any = show_end(self.doc, step, self.sights, errors)
            names = self.sights.names() if step == "result" else Names([], {})
            rows, elements = None, [form]
            gives = self.sights.gives("start") if step == "start" else []
        else:
            one = blocks.step_of(self.doc, step)
            around = self._around(one)
            form = show_step(one, self.sights, more=more, errors=errors, around=around)
            names = self.sights.names(step)
            rows = self.sights.names_of_rows(step) if one.get("kind") == "list" else None
            gives = self.sights.gives(step)
            elements = [form.name, *form.settings, *form.at_end, form.more]
            elements += [form.failure] if form.failure is not None else []
        if typed:
            _as_typed(elements, typed)
        end = self.sights.names(step, inside=True) if getattr(form, "at_end", None) else None
        nearest = names if end is None else end
        return {
            "form": form,
            "gives": gives,
            "was": drafting.fingerprint(self.doc, step),
            "picker": picker_of(names),
            "end_picker": picker_of(end) if end is not None else [],
            "row_picker": picker_of(rows) if rows is not None else [],
            "pick": pick,
            "is_few": sum(len(group.choices) for group in nearest.groups) <= _FEW,
            "columns": self.sights.columns(step) if rows is not None else [],
            "used": _used(elements),
            "adjustments": offered(),
            "to_do": _about(self.findings, step),
        }


def _about(findings: list[Finding], place: str) -> list[Finding]:
    """Return what is to be said in the form of a step, or of one of `ENDS`."""
    if place not in ENDS:
        return [one for one in findings if one.step == place]
    key, _ = ENDS[place]
    return [one for one in findings if not one.step and one.field.split(".")[0] == key]


def picker_of(names: Names) -> list[dict[str, Any]]:
    """Return the groups as the picker's macro takes them, nearest first."""
    return [
        {
            "title": group.title,
            "values": [
                {
                    "label": choice.label,
                    "token": names.token_of(choice),
                    "type": choice.type,
                    "sample": choice.sample,
                }
                for choice in group.choices
            ],
        }
        for group in names.groups
    ]


def _used(elements: list[Any]) -> list[str]:
    """Return the tokens that stand in the form's fields, each once."""
    found: dict[str, None] = {}
    waiting = list(reversed(elements))
    while waiting:
        element = waiting.pop()
        rows = element.get("rows")
        texts = [element.get("value")]
        if isinstance(rows, list):
            texts += [text for row in rows for text in row.values()]
        for text in texts:
            if isinstance(text, str):
                found.update(dict.fromkeys(match[0] for match in TOKEN.finditer(text)))
        inner = [*(element.get("elements") or []), *(element.get("groups") or [])]
        inner += [one for card in element.get("cards") or [] for one in card["elements"]]
        waiting += [one for one in reversed(inner) if isinstance(one, dict)]
    return list(found)


def _as_typed(elements: list[Any], typed: Mapping[str, str]) -> None:
    """Put what was typed back into the fields of a form that is refused."""
    waiting = list(elements)
    while waiting:
        element = waiting.pop()
        if element["id"] in typed:
            element["value"] = typed[element["id"]]
        waiting += element.get("elements") or []
        waiting += [inner for card in element.get("cards") or [] for inner in card["elements"]]
        if element["type"] == "rows":
            for number, row in enumerate(element["rows"]):
                for cell in element["columns"]:
                    name = f"{element['id']}-{number}-{cell['name']}"
                    row[cell["name"]] = typed.get(name, row.get(cell["name"]))
