"""The practice model: built in, free, without network, and honest about being rules.

It finds amounts, dates, addresses and "Label: value" lines, chooses among options by their
words, picks the sentences that matter, and does sums with the calculator. It does not
understand anything, and what it can't find it makes up visibly.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from webapp.engine.errors import StepError
from webapp.engine.fields import fit
from webapp.engine.grammar import Field
from webapp.engine.ledger import Usage
from webapp.engine.providers import finding
from webapp.engine.providers.asking import Answer, Ask, Hooks, format_error
from webapp.engine.readings import as_number, as_text, as_truth, comparable

NAME = "practice"
SIGNATURE = "(Written by the built-in practice model, which follows simple rules.)"
MOST_INPUT = 500_000
PIECE = 24
MADE_UP: dict[str, Any] = {"number": 0, "boolean": False, "date": "2000-01-01", "text": "–"}


class Offline:
    async def answer(self, ask: Ask, hooks: Hooks) -> Answer:
        hooks.money.may_spend()
        if len(ask.message) > MOST_INPUT:
            raise StepError(
                "E-TOO-LONG-IN",
                f"The text is too long for the practice model. It reads {MOST_INPUT:,} characters.",
                proven=True,
                retryable=False,
            )
        answer = await (_fields(ask) if ask.gives else _text(ask, hooks))
        tokens_in = (len(ask.instructions) + len(ask.message)) // 4
        hooks.money.count(Usage(tokens_in, len(answer.text) // 4))
        return answer


async def _text(ask: Ask, hooks: Hooks) -> Answer:
    answer, calls = await _worked_out(ask, hooks)
    text = f"{answer or _written(ask)}\n\n{SIGNATURE}"
    for start in range(0, len(text), PIECE):
        hooks.emit(text[start : start + PIECE])
        await asyncio.sleep(0)
    return Answer(text=text, fields=None, model=NAME, calls=calls)


async def _worked_out(ask: Ask, hooks: Hooks) -> tuple[str | None, int]:
    """Do the first sum in the message, when the calculator may be used."""
    found = finding.SUM.search(ask.message)
    offered = any(tool.name == "calculator" for tool in ask.tools)
    if not found or not offered or ask.most_calls < 1:
        return None, 0
    expression = found.group().strip()
    try:
        result = await hooks.call("calculator", {"expression": expression})
    except StepError as error:
        return f"I could not work out {expression}. {error.text}", 1
    return f"{expression} = {as_text(result.get('answer'))}", 1


def _written(ask: Ask) -> str:
    """Do what the instructions ask for, as far as rules can."""
    task = comparable(f"{ask.instructions} {ask.message[:500]}")
    options = finding.options_in(ask.instructions)
    if options and re.search(r"\b(classif|sort|categor|choose|decide|label)", task):
        return finding.choose(ask.message, options) or options[-1]
    if re.search(r"\b(extract|find|list|pull)", task):
        return _found(ask.message) or "I found no amounts, dates, addresses or links."
    return finding.summary(ask.message) or "There was nothing to read."


def _found(text: str) -> str:
    kinds = {
        "Mail addresses": finding.EMAIL.findall(text),
        "Links": finding.LINK.findall(text),
        "Dates": list(finding.dates(text)),
        "Numbers": [as_text(number) for number in finding.numbers(text)],
    }
    return "\n".join(
        f"{kind}: {', '.join(dict.fromkeys(found))}" for kind, found in kinds.items() if found
    )


async def _fields(ask: Ask) -> Answer:
    notes: list[str] = []
    given = {str(field.name): _filled(field, ask.message, notes) for field in ask.gives}
    values, problems = fit(ask.gives, given)
    if problems:
        raise format_error(problems, 1)
    text = "\n".join(f"{name}: {as_text(value)}" for name, value in values.items())
    return Answer(text=f"{text}\n\n{SIGNATURE}", fields=values, model=NAME, notes=notes)


def _filled(field: Field, text: str, notes: list[str]) -> Any:
    value = _looked_up(field, text)
    if value is None and field.default is None and field.required:
        value = field.of[0] if field.type == "oneof" and field.of else MADE_UP.get(field.type)
        name = field.label or field.name
        notes.append(f"The practice model found nothing for “{name}” and made it up.")
    return value


def _looked_up(field: Field, text: str) -> Any:
    labels = [label for label in (field.label, str(field.name or "")) if label]
    line = finding.after_label(text, labels)
    match field.type:
        case "oneof":
            return finding.choose(line or text, field.of)
        case "number":
            return _within(field, line, text)
        case "boolean":
            return _yes_or_no(labels, line, text)
        case "date":
            return next(finding.dates(line or text), None)
        case "datetime":
            day = next(finding.dates(line or text), None)
            return f"{day}T00:00:00+00:00" if day else None
        case "list":
            return _entries(field, text)
        case "record":
            return {str(inner.name): _looked_up(inner, text) for inner in field.fields}
        case "file":
            return None
    return line or _by_name(labels, text)


def _within(field: Field, line: str | None, text: str) -> Any:
    for number in finding.numbers(line or text):
        above = field.min is None or number >= (as_number(field.min) or 0)
        below = field.max is None or number <= (as_number(field.max) or 0)
        if above and below:
            return number
    return None


def _yes_or_no(labels: list[str], line: str | None, text: str) -> bool:
    said = as_truth(line.split()[0].strip(".,;!")) if line else None
    if said is not None:
        return said
    have = set(finding.words(text))
    return any(word in have for label in labels for word in finding.words(label))


def _entries(field: Field, text: str) -> list[Any]:
    """Bullets, or else sentences; a list of numbers or dates takes all there are."""
    item = field.items
    if item is not None and item.type == "number":
        return list(finding.numbers(text))
    if item is not None and item.type == "date":
        return list(finding.dates(text))
    lines = [line for line in text.splitlines() if re.match(r"\s*(?:[-*•]|\d+[.)])\s+\S", line)]
    parts = [re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", line).strip() for line in lines]
    entries = (parts or finding.sentences(text))[:50]
    if item is not None and item.type == "record":
        return [{str(f.name): _looked_up(f, entry) for f in item.fields} for entry in entries]
    return list(entries)


def _by_name(labels: list[str], text: str) -> str | None:
    """A text field by what its name asks for."""
    wanted = comparable(" ".join(labels))
    if "mail" in wanted:
        found = finding.EMAIL.search(text)
        return found.group() if found else None
    if re.search(r"\b(link|url|address|website)\b", wanted):
        found = finding.LINK.search(text)
        return found.group() if found else None
    if re.search(r"\b(name|customer|person|company|from|who)\b", wanted):
        found = re.search(r"\b[A-Z]\w+(?: [A-Z]\w+){1,3}\b", text)
        return found.group() if found else None
    if re.search(r"\b(title|subject|headline)\b", wanted):
        return next(iter(finding.sentences(text)), "")[:80] or None
    return finding.summary(text, 2) or None
