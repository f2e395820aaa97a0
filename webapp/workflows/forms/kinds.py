"""The fields of every kind of step."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from webapp.engine.tools import TOOLS
from webapp.workflows.forms.lists import Cards, Cell, ConditionPart, Label, Rows, name_from
from webapp.workflows.forms.parts import (
    ABSENT,
    Amount,
    Check,
    Choose,
    Doc,
    Element,
    Env,
    Filled,
    Fold,
    Given,
    Inside,
    Lines,
    Number,
    Part,
    Text,
    Value,
    Words,
)
from webapp.workflows.starting import new_branch

TYPES: Final = (
    ("any", "Any"),
    ("text", "Text"),
    ("number", "Number"),
    ("boolean", "Yes or no"),
    ("date", "Date"),
    ("datetime", "Date and time"),
    ("list", "List"),
    ("record", "Fields"),
    ("file", "File"),
)
_PAIR: Final = (
    Cell("name", "Name", width="narrow"),
    Cell("value", "Value", values=True),
)
_COMPUTE: Final = (
    ("", "is this value"),
    ("add", "adds these"),
    ("subtract", "subtracts these, in order"),
    ("multiply", "multiplies these"),
    ("divide", "divides these, in order"),
    ("sum", "sums a list"),
    ("min", "takes the smallest"),
    ("max", "takes the largest"),
    ("average", "takes the average"),
    ("count", "counts"),
    ("join", "joins as text"),
)
_TAKE: Final = (
    ("count", "counts the rows"),
    ("sum", "sum of"),
    ("min", "smallest of"),
    ("max", "largest of"),
    ("average", "average of"),
    ("first", "first of"),
    ("join", "all of, with commas"),
)


class Computed(Part):
    """A value, or a computation over several values: one field for both, one line each."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        op = str(settings.get("op") or "")
        lines = settings.get("of") or [] if op else [settings.get("value")]
        text = "\n".join(env.here.show(one) for one in lines)
        return self._element(
            "computed", at, env, value=text, op=op, ops=_COMPUTE, groups=env.here.groups, rows=2
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        return ABSENT

    def change(self, given: Given, at: str, entry: Doc, env: Env) -> Doc:
        """Return the entry with either `value`, or `op` and `of`."""
        name = self.name(at)
        op = given.text(f"{name}-op")
        rest = {key: one for key, one in entry.items() if key not in {"value", "op", "of"}}
        if op not in {word for word, _ in _COMPUTE} or not op:
            rest.pop("digits", None)
            value = Value("value", "").read(_renamed(given, name, f"{at}-value"), at, entry, env)
            return rest if value is ABSENT else {**rest, "value": value}
        of = Lines("of", "").read(_renamed(given, name, f"{at}-of"), at, entry, env)
        return {**rest, "op": op, "of": [] if of is ABSENT else of}


def _renamed(given: Given, name: str, to: str) -> Given:
    return Given({to: given.text(name)})


class NamedValues(Cards):
    """Cards that each hold a name and a `Computed`."""

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        was, env.in_rows = env.in_rows, self.in_rows or env.in_rows
        entries = [
            COMPUTED.change(given, f"{name}-{number}", entry, env)
            if given.has(f"{name}-{number}")
            else entry
            for number, entry in enumerate(old.get(self.key) or [])
        ]
        env.in_rows = was
        return Cards.read(self, given, at, {**old, self.key: entries}, env)


COMPUTED: Final = Computed("is", "It")


class Operations(Cards):
    """The operations of a list step; `compute` has a `Computed`."""

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        was, env.in_rows = env.in_rows, True
        entries = [
            COMPUTED.change(given, f"{name}-{number}", entry, env)
            if entry.get("do") == "compute" and given.has(f"{name}-{number}")
            else entry
            for number, entry in enumerate(old.get(self.key) or [])
        ]
        env.in_rows = was
        return Cards.read(self, given, at, {**old, self.key: entries}, env)


class Span(Part):
    """How long to wait: a number and a unit, kept as seconds."""

    units: Final = (("1", "seconds"), ("60", "minutes"), ("3600", "hours"), ("86400", "days"))

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value, unit = settings.get(self.key), "1"
        if isinstance(value, int) and value:
            unit = next(u for u, _ in reversed(self.units) if value % int(u) == 0)
            value = value // int(unit)
        return self._element(
            "span", at, env, value=env.here.show(value), unit=unit, units=self.units,
            tokens=env.tokens,
        )  # fmt: skip

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        text, unit = given.text(name).strip(), given.text(f"{name}-unit")
        if text.isdecimal() and text.isascii() and len(text) < 9:
            return int(text) * (int(unit) if unit in dict(self.units) else 1)
        return Value.read(Value(self.key, self.label), given, at, old, env)


class StatusRanges(Part):
    """Status numbers, such as "200-299, 404"."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        ranges = settings.get(self.key) or [[200, 299]]
        text = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)
        return self._element("text", at, env, value=text, width="mid")

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name, ranges = self.name(at), []
        for one in filter(None, (piece.strip() for piece in given.text(name).split(","))):
            found = re.fullmatch(r"([1-5]\d\d)(?:\s*[-–]\s*([1-5]\d\d))?", one)
            if found is None:
                env.wrong[name] = "Write status numbers such as 200-299, 404."
                return old.get(self.key, ABSENT)
            ranges.append([int(found[1]), int(found[2] or found[1])])
        is_default = ranges == [[200, 299]] and self.key not in old
        return ABSENT if is_default or not ranges else ranges


class Until(Part):
    """When a step with lanes goes on: all, the first, or so many."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        until = settings.get(self.key) or "all"
        count = until.get("n") if isinstance(until, dict) else ""
        return self._element(
            "until", at, env, value="n" if isinstance(until, dict) else until, count=count
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        word, count = given.text(name), given.text(f"{name}-n").strip()
        if word == "n":
            if not (count.isdecimal() and count.isascii() and 1 <= int(count[:4]) <= 64):
                env.wrong[name] = "Enter how many lanes, from 1 to 64."
                return old.get(self.key, ABSENT)
            return {"n": int(count)}
        if word == "first":
            return "first"
        return "all" if self.key in old else ABSENT


@dataclass(frozen=True, slots=True)
class Needs(Part):
    """The lanes that must finish before this one starts: a box for each of the others."""

    lanes: Sequence[tuple[str, str]] = ()

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        needed = settings.get(self.key) or []
        name = self.name(at)
        others = [
            {"name": f"{name}-{lane}", "label": label, "on": lane in needed}
            for lane, label in self.lanes
            if lane != settings.get("id")
        ]
        return self._element("needs", at, env, boxes=others)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        known = {lane for lane, _ in self.lanes}
        gone = [lane for lane in old.get(self.key) or [] if lane not in known]
        needs = [*(lane for lane, _ in self.lanes if given.has(f"{name}-{lane}")), *gone]
        was = old.get(self.key) or []
        return (was if set(was) == set(needs) else needs) or ABSENT


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


class Form(Part):
    """The content of a request sent as a form: names and values."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return PAIRS_OF_FORM.show(_as_pairs(settings), at, env)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        pairs = PAIRS_OF_FORM.read(given, at, _as_pairs(old), env)
        if pairs is ABSENT:
            return ABSENT
        return {"record": {pair["name"]: pair.get("value") for pair in pairs if pair.get("name")}}


def _as_pairs(settings: Doc) -> Doc:
    value = settings.get("value")
    record = value.get("record", {}) if isinstance(value, dict) else {}
    return {"value": [{"name": name, "value": one} for name, one in record.items()]}


PAIRS_OF_FORM: Final = Rows("value", "Content", "", _PAIR, "Add a field", blank=1)

_QUESTION: Final = Label("label", "Question")
_ANSWER: Final = Choose("type", "Answer", "", (
    *TYPES[1:6], ("oneof", "One of"), ("file", "File"), ("list", "List"), ("any", "Any"),
))  # fmt: skip
_CHOICES: Final = Words("of", "Choices", "With commas between them.")
_DEFAULT: Final = Filled("default", "Filled in already")
_MUST: Final = Check("required", "Must be answered", default=True)
_HELP: Final = Text("help", "Help", most=200)


def _question(field: Doc) -> Sequence[Part]:
    """Return what there is to say about a question, by the kind of its answer."""
    kind = field.get("type", "text")
    choices = (_CHOICES,) if kind == "oneof" else ()
    default = () if kind in {"file", "list", "record", "any"} else (_DEFAULT,)
    return (_QUESTION, _ANSWER, *choices, *default, _HELP, _MUST)


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


def _sort_rows(keys: Any) -> list[Doc]:
    return [{"field": k.get("field"), "down": "yes" if k.get("down") else "no"} for k in keys]


def _sort_keys(rows: list[Doc]) -> Any:
    return [
        {"field": row["field"], **({"down": True} if row.get("down") == "yes" else {})}
        for row in rows
        if row.get("field")
    ]


def _rename_rows(names: Any) -> list[Doc]:
    return [{"old": old, "new": new} for old, new in dict(names or {}).items()]


def _rename_names(rows: list[Doc]) -> Any:
    return {row["old"]: row["new"] for row in rows if row.get("old") and row.get("new")}


_OPERATIONS: Final[Mapping[str, tuple[str, Sequence[Part]]]] = {
    "filter": (
        "Keep rows",
        (ConditionPart("where", "Keep the rows where", "The others go to “Left out”."),),
    ),
    "sort": (
        "Sort",
        (
            Rows("by", "Sort by", "", (
                Cell("field", "Column", columns=True),
                Cell("down", "Order", "select",
                     (("no", "smallest first"), ("yes", "largest first"))),
            ), "Add a column", 1, _sort_rows, _sort_keys),
        ),
    ),
    "first": ("Take the first", (Number("n", "How many", "", 1),)),
    "last": ("Take the last", (Number("n", "How many", "", 1),)),
    "unique": (
        "Remove doubles",
        (Words("by", "Same in these columns", "With commas between them.", offer_columns=True),),
    ),
    "group": (
        "Group",
        (
            Words("by", "One row for each", "Columns with commas between them.",
                  offer_columns=True),
            Rows("take", "And of its rows", "", (
                Cell("name", "Name"),
                Cell("op", "Takes", "select", _TAKE),
                Cell("field", "Column", columns=True),
            ), "Add a value", 1),
        ),
    ),
    "pick": (
        "Choose columns",
        (Words("fields", "Columns", "With commas between them.", offer_columns=True),),
    ),
    "rename": (
        "Rename columns",
        (
            Rows("names", "Columns", "", (
                Cell("old", "Old name", columns=True), Cell("new", "New name"),
            ), "Add a column", 1, _rename_rows, _rename_names),
        ),
    ),
    "compute": (
        "Compute a column",
        (Text("name", "New column", "Small letters, digits and _.", most=40, width="mid"),
         Choose("type", "Type", "", TYPES), COMPUTED),
    ),
    "flatten": (
        "Unfold a column",
        (Text("field", "Column", "Each of its items becomes a row.", most=60, width="mid"),),
    ),
    "join": (
        "Add columns of another list",
        (Value("with", "The other list", rows=1),
         Text("on", "Column that is the same in both", most=60, width="mid")),
    ),
}  # fmt: skip

KINDS_OF_FORM: Final[Mapping[str, Sequence[Part]]] = {
    "text": (Value("text", "Text", rows=6),),
    "set": (
        NamedValues("fields", "Values", "Each gets a name that later steps can use.", (
            Label("label", "Name"), Choose("type", "Type", "", TYPES), COMPUTED,
        ), add_label="Add a value", one="value", named=True),
    ),
    "list": (
        Value("from", "List", "The list to work on.", rows=1),
        Operations("do", "What to do", "Done one after the other.", by="do", kinds=_OPERATIONS,
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
    "wait": (
        Span("for_s", "Wait for", "Leave it empty to wait until a moment."),
        Value("until", "Or wait until", "A date such as 2026-03-04, or an earlier value.", rows=1),
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


def parts_of(step: Doc) -> Sequence[Part]:
    """Return the fields of this step; some kinds show fewer, depending on a choice."""
    kind, settings = step.get("kind", ""), step.get("with") or {}
    if kind == "http":
        return _http(settings)
    if kind == "tool":
        from webapp.workflows.forms.tools import parts_of_tool

        return parts_of_tool(settings)
    if kind == "parallel":
        return _parallel(settings)
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
            Rows("query", "Added to the address", "", _PAIR, "Add a part"),
            Rows("headers", "Headers", "", _PAIR, "Add a header"),
            Choose("read", "Read the answer as", "", (
                ("auto", "What it says it is"), ("json", "JSON"), ("text", "Text"),
            )),
            StatusRanges("ok", "Answers that count as done"),
            *((repeat,) if writes else ()),
        )),
    )  # fmt: skip


INPUTS: Final = Cards(
    "inputs", "Questions", "", choose=_question, add_label="Add a question",
    one="question", named=True,
    fresh=lambda word, present: {"label": "", "type": "text"},
)  # fmt: skip
RESULT: Final = Cards(
    "result", "Values", "", (Label("label", "Name"), Value("value", "Value", rows=1)),
    add_label="Add a value", one="value", named=True,
    fresh=lambda word, present: {"label": "", "type": "any"},
)  # fmt: skip
COLLECT: Final = Cards(
    "collect", "Collect from each item", "Kept in the list's order.",
    (Label("label", "Name"), Value("value", "Value", rows=1)),
    add_label="Add a value", one="value", named=True,
    fresh=lambda word, present: {"label": "", "type": "any"},
)  # fmt: skip
__all__ = ["COLLECT", "INPUTS", "RESULT", "Amount", "parts_of"]
