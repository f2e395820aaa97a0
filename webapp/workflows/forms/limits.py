"""What a step or a whole run may take at most: time, money, how many steps."""

from __future__ import annotations

from typing import Any, Final

from webapp.engine.plan import Limits
from webapp.workflows.forms.parts import ABSENT, Doc, Element, Env, Given, Inside, Number, Part
from webapp.workflows.forms.single import Span

MOST_SECONDS: Final = 604_800
_USUAL: Final = Limits()


class Cost(Part):
    """The most that something may cost, in US dollars."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return self._element("number", at, env, value=settings.get(self.key) or "", unit="USD")

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        text = given.text(self.name(at)).strip().lstrip("$").replace(",", ".")
        if not text:
            return None if self.key in old and old[self.key] is None else ABSENT
        whole, _, cents = text.partition(".")
        is_amount = whole.isdecimal() and len(whole) < 10 and (not cents or cents.isdecimal())
        if not is_amount or len(cents) > 9 or not text.strip("0."):
            env.wrong[self.name(at)] = f"{self.label} must be an amount such as 0.50."
            return old.get(self.key, ABSENT)
        return text


class WorkingTime(Part):
    """How long a run may work: a number and a unit, kept as seconds."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        seconds = settings.get(self.key, _USUAL.seconds)
        unit = next(u for u, _ in reversed(Span.units) if seconds % int(u) == 0)
        value = str(seconds // int(unit))
        return self._element("span", at, env, value=value, unit=unit, units=Span.units, tokens="")

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        text, unit = given.text(name).replace(",", "").strip(), given.text(f"{name}-unit")
        if not text:
            return ABSENT
        is_whole = text.isdecimal() and text.isascii() and len(text) < 8
        seconds = int(text) * int(unit) if is_whole and unit in dict(Span.units) else 0
        if not 1 <= seconds <= MOST_SECONDS:
            env.wrong[name] = f"{self.label} must be a time between 1 second and 7 days."
            return old.get(self.key, ABSENT)
        return ABSENT if seconds == _USUAL.seconds and self.key not in old else seconds


LIMITS: Final = Inside("limits", "Limits", "", (
    WorkingTime("seconds", "Working time", "From 1 second to 7 days. Waiting for a time, a "
                "person or another try does not count. Usually 1 hour."),
    Cost("cost_usd", "Cost limit", "What the agents of one run may cost together. Empty: no "
         "limit."),
    Number("steps", "Number of steps", "From 1 to 100,000. A step that runs for each item of a "
           "list counts each time. Usually 10,000.", 1, 100_000, default=_USUAL.steps),
    Number("at_once", "Steps at the same time", "From 1 to 64, over all lanes and lists "
           "together. Usually 20.", 1, 64, default=_USUAL.at_once),
))  # fmt: skip
