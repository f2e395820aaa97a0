"""The signal that a step waits for: its name, how long, and what happens when nobody sends it."""

from __future__ import annotations

import re
from typing import Any, Final

from webapp.workflows.forms.approvals import Seconds
from webapp.workflows.forms.cards import name_from
from webapp.workflows.forms.parts import (
    ABSENT,
    Choose,
    Doc,
    Element,
    Env,
    Given,
    Part,
    Text,
    read_all,
    show_all,
)
from webapp.workflows.forms.single import Span

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_OTHERS: Final = ("for_s", "until")
"""Settings of which a step can have only one, the signal among them."""


class Name(Text):
    """What the signal is called; written as data needs it."""

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        typed = given.text(self.name(at)).strip()
        if not typed:
            return ABSENT
        return typed if _NAME.fullmatch(typed) else name_from(typed, set())


class AtMost(Seconds):
    """How long to wait for a signal."""

    units = Span.units
    least = (1, "1 second")


PARTS: Final = (
    Name("name", "Or wait for the signal", "A name such as paid. Somebody sends it on the run’s "
         "page, or a program by the API.", most=60, width="mid"),
    AtMost("timeout_s", "At most", "Only of a signal. Empty: as long as it takes."),
    Choose("at_timeout", "If nobody sends it in time", "", (
        ("fail", "The step fails"), ("continue", "Go on without it"),
    )),
)  # fmt: skip


class Signal(Part):
    """Settings of their own, which are there once the signal has a name."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        inner = settings.get(self.key) or {}
        elements = show_all(PARTS, inner, self.name(at), env)
        return self._element("group", at, env, elements=elements)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        read = read_all(PARTS, given, self.name(at), old.get(self.key) or {}, env)
        if "name" not in read:
            return ABSENT
        if any(given.text(f"{at}-{other}").strip() for other in _OTHERS):
            env.wrong[f"{self.name(at)}-name"] = (
                "Wait for a time or for a signal, not for both: empty one of them."
            )
            return old.get(self.key, ABSENT)
        return read
