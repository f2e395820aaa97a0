"""The fields of a step that asks a person: who, how many, what to check, until when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from webapp.engine.steps.asking import LONGEST_S
from webapp.workflows.forms.cards import Cards, Label
from webapp.workflows.forms.parts import (
    ABSENT,
    Check,
    Choose,
    Doc,
    Element,
    Env,
    Filled,
    Fold,
    Given,
    Inside,
    Number,
    Part,
    Text,
    Value,
    Words,
)
from webapp.workflows.forms.single import Span

_GROUPS: Final = (
    ("starter", "Whoever started the run"),
    ("role-owner", "Owners"),
    ("role-admin", "Admins and owners"),
    ("role-member", "Members, admins and owners"),
    ("role-viewer", "Everybody here"),
)
_STEP: Final = re.compile(r"s_[a-z0-9]{1,12}")
_GONE: Final = "Somebody who is no longer here"
_NO_GROUP: Final = "A group: there are none here yet"


class People(Part):
    """Who is asked: a box for each person, each role, and whoever started the run."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        name, chosen = self.name(at), [_word(one) for one in settings.get(self.key) or []]
        known = [*env.people, *_GROUPS]
        gone = [
            (word, _NO_GROUP if word.startswith("group-") else _GONE)
            for word in chosen
            if word and word not in dict(known)
        ]
        boxes = [
            {"name": f"{name}-{word}", "label": label, "on": word in chosen}
            for word, label in [*known, *gone]
        ]
        return self._element("needs", at, env, boxes=boxes)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        prefix = f"{self.name(at)}-"
        on = [name.removeprefix(prefix) for name in given.names(prefix)]
        kept = [one for one in old.get(self.key) or [] if _word(one) in on]
        before = {_word(one) for one in kept}
        fresh = [_who(word) for word in on if word not in before]
        return [*kept, *(one for one in fresh if one)][:20] or ABSENT


def _word(one: Any) -> str:
    """Return what the box of a named one is called."""
    if not isinstance(one, dict):
        return ""
    for key in ("role", "group"):
        if key in one:
            return f"{key}-{one[key]}"
    return "starter" if "starter" in one else str(one.get("person") or "")


def _who(word: str) -> Doc | None:
    if word == "starter":
        return {"starter": True}
    if word.startswith("usr_"):
        return {"person": word}
    return {"role": word.removeprefix("role-")} if word in dict(_GROUPS) else None


class Need(Part):
    """How many of them must agree."""

    choices: Final = (
        ("any", "any one of them"), ("all", "all of them"), ("n", "so many of them"),
    )  # fmt: skip

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        need = settings.get(self.key) or "any"
        count = need.get("n") if isinstance(need, dict) else ""
        value = "n" if isinstance(need, dict) else need
        return self._element(
            "until", at, env, value=value, count=count, choices=self.choices, count_label="How many"
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        word, count = given.text(name), given.text(f"{name}-n").strip()
        if word == "n":
            if not (count.isdecimal() and count.isascii() and 1 <= int(count[:4]) <= 20):
                env.wrong[name] = "Enter how many people, from 1 to 20."
                return old.get(self.key, ABSENT)
            return {"n": int(count)}
        if word == "all":
            return "all"
        return "any" if self.key in old else ABSENT


class Seconds(Part):
    """A span of time up to a year, kept as seconds."""

    units: ClassVar[Sequence[tuple[str, str]]] = Span.units[1:]
    least: ClassVar[tuple[int, str]] = (60, "1 minute")

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value, unit = settings.get(self.key), self.units[0][0]
        if isinstance(value, int) and value:
            unit = next((u for u, _ in reversed(self.units) if value % int(u) == 0), unit)
            value = value // int(unit)
        shown = "" if value is None else str(value)
        return self._element("span", at, env, value=shown, unit=unit, units=self.units, tokens="")

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        text, unit = given.text(name).replace(",", "").strip(), given.text(f"{name}-unit")
        if not text:
            return ABSENT
        is_whole = text.isdecimal() and text.isascii() and len(text) < 8
        seconds = int(text) * int(unit) if is_whole and unit in dict(self.units) else 0
        least, word = self.least
        if not least <= seconds <= LONGEST_S:
            env.wrong[name] = f"{self.label} must be a time between {word} and 365 days."
            return old.get(self.key, ABSENT)
        return seconds


@dataclass(frozen=True, slots=True)
class Editable(Part):
    """Which of the values to check may be edited: a box for each."""

    shown: Sequence[tuple[str, str]] = ()

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        name, chosen = self.name(at), settings.get(self.key) or []
        boxes = [
            {"name": f"{name}-{key}", "label": label, "on": key in chosen}
            for key, label in self.shown
        ]
        return self._element("needs", at, env, boxes=boxes)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        return [key for key, _ in self.shown if given.has(f"{self.name(at)}-{key}")] or ABSENT


class Silence(Part):
    """What happens when nobody answers; those whom it is passed to have boxes of their own."""

    choices: Final = (
        ("stop", "The step fails"),
        ("continue", "Go on without an answer"),
        ("reject", "It counts as rejected"),
        ("pass", "Ask others"),
    )
    others: Final = People("pass_to", "Others to ask")

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        then = settings.get(self.key) or "stop"
        word = "pass" if isinstance(then, dict) else then
        choose = self._element("select", at, env, value=word, choices=self.choices)
        inner = [choose]
        if isinstance(then, dict):
            inner.append(self.others.show(then, self.name(at), env))
        return self._element("group", at, env, elements=inner)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        word, then = given.text(self.name(at)), old.get(self.key)
        if word == "pass":
            was = then if isinstance(then, dict) else {}
            to = self.others.read(given, self.name(at), was, env)
            return {"pass_to": [] if to is ABSENT else to}
        if word not in dict(self.choices):
            return old.get(self.key, ABSENT)
        return word if word != "stop" or self.key in old else ABSENT


class Deputy(Part):
    """One person who may answer in place of any of them."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value = _word(settings.get(self.key))
        choices = [("", "Nobody"), *env.people]
        if value and value not in dict(choices):
            choices.append((value, _GONE))
        return self._element("select", at, env, value=value, choices=choices)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        word = given.text(self.name(at))
        return {"person": word} if word.startswith("usr_") else ABSENT


class WayBack(Part):
    """To which earlier step of the block it goes back when changes are asked for."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value = str(settings.get(self.key) or "")
        choices = [("", "No step: it counts as a no"), *env.earlier]
        if value and value not in dict(choices):
            choices.append((value, "A step that is not before this one"))
        return self._element("select", at, env, value=value, choices=choices)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        word = given.text(self.name(at))
        return word if _STEP.fullmatch(word) else ABSENT


_TYPES: Final = (
    ("text", "Text"), ("number", "Number"), ("boolean", "Yes or no"), ("date", "Date"),
    ("datetime", "Date and time"), ("oneof", "One of"),
)  # fmt: skip


def _question(field: Doc) -> Sequence[Part]:
    choices = (Words("of", "Choices", "With commas between them."),)
    return (
        Label("label", "Question"),
        Choose("type", "Answer", "", _TYPES),
        *(choices if field.get("type") == "oneof" else ()),
        Filled("default", "Filled in already"),
        Text("help", "Help", most=200, width="wide"),
        Check("required", "Must be answered", default=True),
    )


_SHOW: Final = Cards(
    "show", "To check", "What people see before they answer. Later steps use it as it was "
    "approved.",
    (Label("label", "Name"), Value("value", "Value", rows=2)),
    add_label="Add a value", one="value", named=True,
    fresh=lambda word, present: {"label": "", "value": None},
)  # fmt: skip
_QUESTIONS: Final = Cards(
    "questions", "Questions", "", choose=_question, add_label="Add a question", one="question",
    named=True, fresh=lambda word, present: {"label": "", "type": "text"},
)  # fmt: skip
_ROUNDS: Final = Number(
    "rounds", "Rounds", "How often people are asked in all.", 1, 10, "rounds", 3
)
_BUTTONS: Final = Inside("words", "Buttons", "", (
    Text("approve", "Word for “Approve”", most=40, width="mid"),
    Text("changes", "Word for “Ask for changes”", most=40, width="mid"),
    Text("reject", "Word for “Reject”", most=40, width="mid"),
))  # fmt: skip


def _more(settings: Doc) -> Fold:
    changes = "no round is left" if settings.get("back_to") else "changes are asked for"
    return Fold("fold", "Reminder, deputy, rejection and the words of the buttons", "", (
        Check("not_starter", "Not whoever started the run", "Two people look at it, always."),
        Seconds("remind_s", "Remind after", "By mail, once."),
        Deputy("deputy", "Deputy", "May answer in place of one of them; hears of it with the "
               "reminder."),
        Choose("refusal", f"If it is rejected, or {changes}", "", (
            ("fail", "The step fails, with the note"),
            ("continue", "Go on; later steps look at the decision"),
        ), radios=True),
        _BUTTONS,
    ))  # fmt: skip


def parts_of_approval(settings: Doc) -> Sequence[Part]:
    shown = list(_named(settings.get("show")))
    return (
        People("who", "Who is asked"),
        Need("need", "Who must agree"),
        _SHOW,
        *((Editable("edit", "May be edited by them", "", shown),) if shown else ()),
        _QUESTIONS,
        WayBack("back_to", "Ask for changes goes back to", "The run is done again from there; an "
                "agent gets the note and its last answer, agents inside the step the note."),
        *((_ROUNDS,) if settings.get("back_to") else ()),
        Inside("due", "Answer until", "", (
            Seconds("in_s", "Answer within", "Leave it empty to wait as long as it takes."),
            Value("at", "Or answer until", "A date, a date with a time, or an earlier value.",
                  rows=1),
        )),
        *((Silence("at_due", "If nobody answers"),) if settings.get("due") else ()),
        _more(settings),
    )  # fmt: skip


def _named(entries: Any) -> Iterable[tuple[str, str]]:
    for entry in entries or []:
        if isinstance(entry, dict) and entry.get("name"):
            yield str(entry["name"]), str(entry.get("label") or entry["name"])
