"""The builder: a list of steps, one of them open as a form, and what is left to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Response, make_response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.errors import Conflict, Invalid, NotFound
from webapp.web.htmx import done, is_htmx
from webapp.workflows import blocks, callees, drafting, history
from webapp.workflows.adjusting import adjusted, offered
from webapp.workflows.comparing import differences
from webapp.workflows.drafting import ENDS
from webapp.workflows.forms.parts import Given
from webapp.workflows.forms.step import read_end, read_step
from webapp.workflows.pages.doors import doors, id_of, url_of
from webapp.workflows.pages.workbench import Workbench
from webapp.workflows.tokens import TOKEN

EDIT = Permission.EDIT_WORKFLOWS


@doors.get("/o/<org>/workflows/<workflow>", permission=Permission.VIEW_WORKFLOWS)
def show(ctx: Context, workflow: str) -> str:
    bench = Workbench.open(ctx, id_of(workflow))
    step = request.args.get("step", "")
    values = bench.shown(
        step=step if step in ENDS or bench.has(step) else "",
        add=request.args.get("add", ""),
        move=request.args.get("move", ""),
        note=request.args.get("note", ""),
        more=_more(request.args.getlist("more")),
        pick=request.args.get("pick", ""),
    )
    part = request.args.get("part")
    template = "workflows/_steps.html" if part == "steps" else "workflows/builder.html"
    return render_template(template, **values)


@doors.post("/o/<org>/workflows/<workflow>/ops", permission=EDIT)
def change(ctx: Context, workflow: str) -> Response:
    """Do one operation on the list: `op` is "up:s_2", "add:root::1:text", "undo" …"""
    workflow_id = id_of(workflow)
    word, _, rest = request.form.get("op", "").partition(":")
    operation = _OPERATIONS.get(word)
    if operation is None:
        raise NotFound()
    focus = _focus_after(ctx, workflow_id, word, rest.partition(":")[0])
    try:
        say, step = operation(ctx, workflow_id, rest)
    except (Conflict, Invalid) as error:
        if not is_htmx():
            raise
        # The list below is as it is now; a notice in its place would take it away.
        return _answer(ctx, workflow_id, "", _sentence(error), warn=True)
    return _answer(ctx, workflow_id, step, say, focus=focus, undo=word == "delete")


def _focus_after(ctx: Context, workflow_id: UUID, word: str, step: str) -> str:
    """Return the row that people go on from: the step's own, or the one before a deleted step."""
    if word != "delete":
        return step if word in {"up", "down", "move", "off", "on", "note"} else ""
    plan = drafting.get_draft(ctx, workflow_id).plan
    ids = ["start", *(place.step["id"] for place in blocks.places(plan))]
    return ids[max(ids.index(step) - 1, 0)] if step in ids else ""


@doors.post("/o/<org>/workflows/<workflow>/steps/<step>", permission=EDIT)
def save(ctx: Context, workflow: str, step: str) -> Response:
    """Save the form of a step or of one of `ENDS`; buttons in it add and remove."""
    bench = Workbench.open(ctx, id_of(workflow))
    given = _given()
    try:
        before = bench.field_names(step)
        _save(ctx, bench, step, given)
    except Invalid as error:
        return _refused(bench, step, error)
    except Conflict:
        return _conflict(ctx, bench.workflow_id, step, given)
    if _is_structural():
        return _form_again(ctx, bench.workflow_id, step, given)
    saved = Workbench.open(ctx, bench.workflow_id)
    if is_htmx() and saved.field_names(step) == before and "leave" not in request.form:
        return make_response(render_template("workflows/_saved.oob.html", **saved.shown(step=step)))
    if "leave" in request.form:
        say = None if is_htmx() else "Saved."
        return done(url_of(bench.workflow_id, f"#go-{step}"), say=say)
    return _answer(ctx, bench.workflow_id, step, "Saved")


def _save(ctx: Context, bench: Workbench, step: str, given: Given) -> None:
    was = None if "keep" in request.form else request.form.get("was") or None
    read = _read(bench, step, given)
    if step in ENDS:
        drafting.change_end(ctx, bench.workflow_id, step, read, was)
    else:
        drafting.change_step(ctx, bench.workflow_id, step, read, was)


def _read(bench: Workbench, step: str, given: Given) -> Any:
    if step in ENDS:
        return read_end(bench.doc, step, bench.sights, given)
    return read_step(blocks.step_of(bench.doc, step), bench.sights, given)


def _given() -> Given:
    """Return the form, with the token that an "Insert" button adds to a field."""
    values = request.form.to_dict()
    name, mark, token = request.form.get("insert", "").partition("=")
    if mark:
        text = values.get(name, "")
        values[name] = f"{text}{' ' if text and not text.endswith((' ', chr(10))) else ''}{token}"
    if request.form.get("adjust"):
        _adjust(values)
    return Given(
        values,
        added=request.form.get("add", ""),
        removed=request.form.get("remove", ""),
        moved=request.form.get("shift", ""),
    )


def _adjust(values: dict[str, str]) -> None:
    """Write the chosen change into every use of the chosen value."""
    token, phrase = values.get("adjust-value", ""), values.get("adjust-how", "")
    if not TOKEN.fullmatch(token) or not any(phrase in words for _, words in offered()):
        return
    for name, text in values.items():
        if not name.startswith("adjust-"):
            values[name] = text.replace(token, adjusted(token, phrase))


def _is_structural() -> bool:
    words = ("add", "remove", "shift", "insert", "adjust")
    return any(request.form.get(word) for word in words)


def _form_again(ctx: Context, workflow_id: UUID, step: str, given: Given) -> Response:
    """Show the form with the row more, or the card fewer, that was asked for."""
    rows = given.added if given.added and ":" not in given.added else ""
    count = len(given.indexes(rows)) + 1 if rows else 0
    field = rows or (given.added or given.removed or given.moved).partition(":")[0]
    field = field or request.form.get("insert", "").partition("=")[0] or f"edit-{step}"
    if not is_htmx():
        more = f"&more={rows}:{count}" if rows else ""
        return done(url_of(workflow_id, f"?step={step}{more}#{field}"))
    more_rows = {rows: count} if rows else {}
    return _answer(ctx, workflow_id, step, "", more=more_rows)


def _more(asked: list[str]) -> dict[str, int]:
    """Read `more=with-headers:3`: show at least three rows there."""
    found = {}
    for one in asked[:20]:
        name, _, count = one.rpartition(":")
        if name and count.isdecimal() and count.isascii() and len(count) < 4:
            found[name] = min(int(count), 100)
    return found


def _refused(bench: Workbench, step: str, error: Invalid) -> Response:
    """Show the form as it was typed, with what is wrong; saving by itself only says it."""
    errors = {_field_of(problem.pointer): problem.detail for problem in error.errors}
    if is_htmx() and "save" not in request.form and not _is_structural():
        values = {"wrong": error.errors[0].detail if error.errors else error.text}
        return make_response(render_template("workflows/_unsaved.oob.html", **values))
    values = bench.shown(step=step, errors=errors, typed=request.form.to_dict())
    template = "workflows/_steps.html" if is_htmx() else "workflows/builder.html"
    answer = make_response(render_template(template, **values), 422)
    answer.headers.update({"HX-Retarget": "#steps", "HX-Reswap": "morph"})
    return answer


def _conflict(ctx: Context, workflow_id: UUID, step: str, given: Given) -> Response:
    """Say that somebody else saved this too; the typed text stays, and can be kept."""
    bench = Workbench.open(ctx, workflow_id)
    values = bench.shown(step=step, typed=request.form.to_dict())
    mine = drafting.with_change(bench.doc, step, _read(bench, step, given))
    values["what"] = ENDS[step][1] if step in ENDS else "this step"
    values["apart"] = differences(bench.doc, mine, callees.names_in(ctx, bench.doc, mine))
    if is_htmx():
        values["was_told"] = "told" in request.form
        answer = make_response(render_template("workflows/_conflict.oob.html", **values), 409)
        answer.headers["HX-Reswap"] = "none"
        return answer
    page = render_template("workflows/builder.html", is_conflict=True, **values)
    return make_response(page, 409)


def _sentence(error: Conflict | Invalid) -> str:
    if isinstance(error, Invalid) and error.errors:
        return error.errors[0].detail.rstrip(".")
    return error.title.rstrip(".")


def _field_of(pointer: str) -> str:
    """Return the field's name: forms point with names already, plans by JSON pointer."""
    marks = [part for part in pointer.split("/") if part]
    if "with" in marks:
        last = len(marks) - 1 - marks[::-1].index("with")
        return "-".join(marks[last:])
    return "-".join(marks)


def _answer(
    ctx: Context,
    workflow_id: UUID,
    step: str,
    say: str,
    *,
    focus: str = "",
    undo: bool = False,
    warn: bool = False,
    more: Mapping[str, int] | None = None,
) -> Response:
    """Show the list as it is now; without script the page, with it the parts that changed."""
    tail = f"?step={step}#edit-{step}" if step else f"#go-{focus}" if focus else ""
    if not is_htmx():
        return done(url_of(workflow_id, tail), say=f"{say}." if say else None)
    bench = Workbench.open(ctx, workflow_id)
    values = bench.shown(step=step, more=dict(more or {})) | {"focus": focus}
    body = render_template("workflows/_changed.html", say=say, undo=undo, warn=warn, **values)
    answer = make_response(body)
    answer.headers["HX-Retarget"], answer.headers["HX-Reswap"] = "#steps", "morph"
    answer.headers["HX-Replace-Url"] = url_of(workflow_id, f"?step={step}" if step else "")
    return answer


def _up(ctx: Context, workflow_id: UUID, step: str) -> tuple[str, str]:
    drafting.shift_step(ctx, workflow_id, step, down=False)
    return "Moved up", ""


def _down(ctx: Context, workflow_id: UUID, step: str) -> tuple[str, str]:
    drafting.shift_step(ctx, workflow_id, step, down=True)
    return "Moved down", ""


def _move(ctx: Context, workflow_id: UUID, rest: str) -> tuple[str, str]:
    step, _, slot = rest.partition(":")
    drafting.move_step(ctx, workflow_id, step, slot)
    return "Moved", ""


def _add(ctx: Context, workflow_id: UUID, rest: str) -> tuple[str, str]:
    parts = rest.split(":")
    slot, kind, tool = ":".join(parts[:3]), parts[3] if len(parts) > 3 else "", ":".join(parts[4:])
    return "Added", drafting.add_step(ctx, workflow_id, kind, slot, tool)


def _duplicate(ctx: Context, workflow_id: UUID, step: str) -> tuple[str, str]:
    return "Duplicated", drafting.duplicate_step(ctx, workflow_id, step)


def _delete(ctx: Context, workflow_id: UUID, step: str) -> tuple[str, str]:
    drafting.delete_step(ctx, workflow_id, step)
    return "Step deleted", ""


def _off(ctx: Context, workflow_id: UUID, step: str) -> tuple[str, str]:
    drafting.switch_step(ctx, workflow_id, step, off=True)
    return "Turned off", ""


def _on(ctx: Context, workflow_id: UUID, step: str) -> tuple[str, str]:
    drafting.switch_step(ctx, workflow_id, step, off=False)
    return "Turned on", ""


def _note(ctx: Context, workflow_id: UUID, step: str) -> tuple[str, str]:
    note = request.form.get("note", "").replace("\r\n", "\n").strip()
    drafting.note_step(ctx, workflow_id, step, note)
    return "Note saved" if note else "Note taken away", ""


def _undo(ctx: Context, workflow_id: UUID, _: str) -> tuple[str, str]:
    return f"Undone: {history.undo(ctx, workflow_id)}", ""


def _redo(ctx: Context, workflow_id: UUID, _: str) -> tuple[str, str]:
    return f"Done again: {history.redo(ctx, workflow_id)}", ""


_OPERATIONS = {
    "up": _up,
    "down": _down,
    "move": _move,
    "add": _add,
    "duplicate": _duplicate,
    "delete": _delete,
    "off": _off,
    "on": _on,
    "note": _note,
    "undo": _undo,
    "redo": _redo,
}
