"""The fields of every kind of step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from webapp.engine.callees import Callee
from webapp.engine.tools import TOOLS
from webapp.workflows.forms.approvals import parts_of_approval
from webapp.workflows.forms.calls import parts_of_call
from webapp.workflows.forms.cards import Cards, Label, name_from
from webapp.workflows.forms.computed import COMPUTED, TYPES, NamedValues
from webapp.workflows.forms.conditions import ConditionPart
from webapp.workflows.forms.operations import OPERATIONS, Operations
from webapp.workflows.forms.parts import (
    Check,
    Choose,
    Doc,
    Fold,
    Inside,
    Lines,
    Number,
    Part,
    Text,
    Value,
    Words,
)
from webapp.workflows.forms.rows import Cell, Rows
from webapp.workflows.forms.signals import Signal
from webapp.workflows.forms.single import PAIR, Form, Needs, Span, StatusRanges, Until
from webapp.workflows.starting import new_branch

_GIVES_CELLS: Final = (
    Cell("label", "Name"),
    Cell("type", "Type", "select", (*TYPES[1:6], ("oneof", "One of"), ("list", "List"))),
    Cell("of", "Choices", placeholder="for One of"),
    Cell("help", "What it is"),
)


def _branch(word: str, present: list[Doc]) -> Doc:
    return _fresh_block("if", "branches", present)


def _lane(word: str, present: list[Doc]) -> Doc:
    return _fresh_block("parallel", "lanes", present)


def _fresh_block(kind: str, listed: str, present: list[Doc]) -> Doc:
    step: Doc = {"kind": kind, "with": {listed: list(present)}}
    new_branch(step)
    fresh: Doc = step["with"][listed][-1]
    return fresh


def _gives_rows(fields: Any) -> list[Doc]:
    return list(fields) if isinstance(fields, list) else []


def _gives_fields(rows: list[Doc]) -> Any:
    used = {row["name"] for row in rows if row.get("name")}
    for row in rows:
        if not row.get("name") and row.get("label"):
            row["name"] = name_from(row["label"], used)
            used.add(row["name"])
        words = row.get("of")
        if isinstance(words, str):
            row["of"] = [word.strip() for word in words.split(",") if word.strip()]
    return [row for row in rows if row.get("name")]


def _parallel(settings: Doc) -> Sequence[Part]:
    lanes = [
        (str(lane.get("id", "")), str(lane.get("label") or f"Lane {number}"))
        for number, lane in enumerate(settings.get("lanes") or [], start=1)
    ]
    return (
        Cards("lanes", "Lanes", "", (
            Label("label", "Name"),
            Needs("needs", "Starts after", "Choose none to start at once.", lanes=lanes),
        ), add_label="Add a lane", one="lane", fresh=_lane),
        Until("until", "Goes on when"),
        Choose("lane_failure", "If a lane fails", "", (
            ("stop", "Stop the others"), ("continue", "Go on with the others"),
        ), radios=True),
    )  # fmt: skip


KINDS_OF_FORM: Final[Mapping[str, Sequence[Part]]] = {
    "text": (Value("text", "Text", rows=6),),
    "set": (
        NamedValues("fields", "Values", "Each gets a name that later steps can use.", (
            Label("label", "Name"), Choose("type", "Type", "", TYPES), COMPUTED,
        ), add_label="Add a value", one="value", named=True),
    ),
    "list": (
        Value("from", "List", "The list to work on.", rows=1),
        Operations("do", "What to do", "Done one after the other.", by="do", kinds=OPERATIONS,
                   one="operation", in_rows=True),
    ),
    "if": (
        Cards("branches", "Branches", "The first whose condition is true is taken.", (
            Label("label", "Name"), ConditionPart("when", "When"),
        ), add_label="Add a branch", one="branch", fresh=_branch),
    ),
    "each": (
        Value("list", "List", "The steps inside run once for each of its items.", rows=1),
        Fold("fold", "How many at once, and if one fails", "", (
            Number("at_once", "How many at once", "", 1, 20, default=3),
            Number("most", "At most", "A longer list fails before anything is started.",
                   1, 10_000, "items", default=500),
            Choose("item_failure", "If one fails", "", (
                ("continue", "Go on with the others"), ("stop", "Stop"),
            ), radios=True),
        )),
    ),
    "repeat": (
        Number("most", "At most", "", 1, 100, "rounds", default=10),
        Number("pause_s", "Pause between rounds", "", 0, 3600, "seconds", default=0),
        Choose("at_limit", "If it is still not true after the last round", "", (
            ("fail", "The step fails"), ("continue", "Go on"),
        ), radios=True),
    ),
    "wait": (
        Span("for_s", "Wait for", "Leave it empty to wait until a moment, or for a signal."),
        Value("until", "Or wait until", "A date such as 2026-03-04, or an earlier value.", rows=1),
        Signal("signal", "Or wait for a signal"),
    ),
    "agent": (
        Inside("inline", "Agent", "", (
            Text("instructions", "Instructions", "What the agent is told, once and for all.",
                 20_000, area=5),
        )),
        Value("message", "Message", "What the agent gets this time.", rows=5),
        Rows("gives", "Answer", "Leave it empty for one text, or name the fields it must have.",
             _GIVES_CELLS, "Add a field", load=_gives_rows, store=_gives_fields),
        Fold("fold", "Model, tools and files", "", (
            Inside("inline", "Model", "", (
                Text("model", "Model", "“default” is the one set up here; “practice” is built in "
                     "and free.", width="mid"),
                Words("tools", "Tools it may use",
                      f"Any of: {', '.join(TOOLS)}. With commas between them."),
                Number("answer_tokens", "Longest answer", "One token is about 4 letters.",
                       1, 200_000, "tokens"),
            )),
            Number("most_calls", "At most this many tool calls", "", 0, 100, default=10),
            Number("fresh_s", "Use an earlier answer for", "To exactly the same question, where "
                   "the agent uses no tools. Empty: always ask.", 1, 2_592_000, "seconds"),
            Lines("files", "Files", "One value in each line.", rows=1),
        )),
    ),
    "stop": (
        Choose("as", "The run ends as", "", (("done", "Done"), ("failed", "Failed")), radios=True),
        Value("message", "Message", "Shown on the run's page.", rows=2),
    ),
}  # fmt: skip


_METHODS: Final = tuple((word, word) for word in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"))
_BODIES: Final = (("none", "Nothing"), ("json", "JSON"), ("form", "Form fields"), ("text", "Text"))


def parts_of(step: Doc, callee: Callee | None = None) -> Sequence[Part]:
    """Return the fields of this step; some kinds show fewer, depending on a choice.

    Args:
        callee: the workflow that the step runs, if it runs one that is known.
    """
    kind, settings = step.get("kind", ""), step.get("with") or {}
    if kind == "http":
        return _http(settings)
    if kind == "tool":
        from webapp.workflows.forms.tools import parts_of_tool

        return parts_of_tool(settings)
    if kind == "parallel":
        return _parallel(settings)
    if kind == "approval":
        return parts_of_approval(settings)
    if kind == "workflow":
        return parts_of_call(settings, callee)
    return KINDS_OF_FORM.get(kind, ())


def _http(settings: Doc) -> Sequence[Part]:
    form = (settings.get("body") or {}).get("as", "none")
    content: Sequence[Part] = ()
    if form == "form":
        content = (Form("value", "Content"),)
    elif form != "none":
        content = (Value("value", "Content", rows=5),)
    writes = settings.get("method", "GET") not in {"GET", "HEAD"}
    body = Inside("body", "Content", "", (Choose("as", "Send", "", _BODIES), *content))
    repeat = Check("repeat_safe", "Sending it twice does no harm",
                   "Then it may be tried again after a failure.")  # fmt: skip
    return (
        Choose("method", "Method", "GET reads; the others change something.", _METHODS),
        Value("url", "Address", "Begins with https:// or http://.", rows=1),
        *((body,) if writes or form != "none" else ()),
        Fold("fold", "Headers, address parts and the answer", "", (
            Rows("query", "Added to the address", "", PAIR, "Add a part"),
            Rows("headers", "Headers", "", PAIR, "Add a header"),
            Choose("read", "Read the answer as", "", (
                ("auto", "What it says it is"), ("json", "JSON"), ("text", "Text"),
            )),
            StatusRanges("ok", "Answers that count as done"),
            *((repeat,) if writes else ()),
        )),
    )  # fmt: skip
