"""What differs between two plans, in words: steps added, removed, moved, changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import Any, Final, Literal

from webapp.engine.errors import span
from webapp.engine.plan import Limits
from webapp.workflows.blocks import Doc, Place, own_settings, places
from webapp.workflows.summaries import plain, value_pieces
from webapp.workflows.wording import kind_label, step_title

_MOST: Final = 400
_WORDS: Final = {
    "do": "operations",
    "from": "list",
    "for_s": "how long",
    "args": "what it gets",
    "inline": "agent",
    "take": "values",
    "when": "condition",
    "cost_usd": "cost limit",
    "timeout_s": "time limit",
    "on_failure": "if it fails",
}
_LIMITS: Final = {
    "at_once": "steps at once",
    "cost_usd": "cost in US dollars",
    "seconds": "working time",
    "steps": "number of steps",
}


@dataclass(frozen=True, slots=True)
class Difference:
    mark: Literal["added", "removed", "moved", "changed"]
    text: str
    before: str = ""
    after: str = ""


def differences(
    old: Doc | None, new: Doc, workflows: Mapping[str, str] = MappingProxyType({})
) -> list[Difference]:
    """Return what `new` changed; against nothing, everything is added.

    Args:
        workflows: names of the workflows that steps run, by their ids.
    """
    old = old or {"inputs": [], "steps": [], "result": []}
    return [
        *_named("Question", old.get("inputs") or [], new.get("inputs") or [], old, new),
        *_steps(old, new, workflows),
        *_named("Result", old.get("result") or [], new.get("result") or [], old, new),
        *_limits(old.get("limits") or {}, new.get("limits") or {}),
    ]


def changed_steps(old: Doc, new: Doc) -> frozenset[str]:
    """Return the ids of the steps that `new` added, moved, or changed in what they do."""
    before = {place.step["id"]: place for place in places(old)}
    after = {place.step["id"]: place for place in places(new)}
    shifted = _shifted(before, after)
    return frozenset(
        step_id
        for step_id, place in after.items()
        if step_id not in before
        or step_id in shifted
        or before[step_id].slot.block != place.slot.block
        or _does(before[step_id].step) != _does(place.step)
    )


def _does(step: Doc) -> Doc:
    said = {key: _bare(value) for key, value in step.items() if key not in {"name", "note", "with"}}
    return said | {"with": own_settings(step)}


def _steps(old: Doc, new: Doc, workflows: Mapping[str, str]) -> Iterator[Difference]:
    before = {place.step["id"]: place for place in places(old)}
    after = {place.step["id"]: place for place in places(new)}
    shifted = _shifted(before, after)
    was_called, is_called = ({**workflows, **_titles(doc)} for doc in (old, new))
    for step_id, place in after.items():
        title = f"Step {place.number} “{step_title(place.step)}”"
        if step_id not in before:
            yield Difference("added", f"{title}, {kind_label(place.step)}")
            continue
        was = before[step_id]
        if was.slot.block != place.slot.block or step_id in shifted:
            yield Difference("moved", title)
        yield from _step(title, was.step, place.step, was_called, is_called)
    for step_id, place in before.items():
        if step_id not in after:
            yield Difference("removed", f"“{step_title(place.step)}”, {kind_label(place.step)}")


def _shifted(before: dict[str, Place], after: dict[str, Place]) -> set[str]:
    """Return the fewest steps whose moving explains another order inside their blocks."""
    both = [step_id for step_id in after if step_id in before]
    orders: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for places_now, n in ((before, 0), (after, 1)):
        for step_id, place in places_now.items():
            if step_id in both and before[step_id].slot.block == after[step_id].slot.block:
                orders.setdefault(place.slot.block, ([], []))[n].append(step_id)
    moved: set[str] = set()
    for old, new in orders.values():
        same = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
        kept = {step_id for match in same for step_id in new[match.b : match.b + match.size]}
        moved |= set(new) - kept
    return moved


def _titles(doc: Doc) -> dict[str, str]:
    return {place.step["id"]: step_title(place.step) for place in places(doc)}


def _step(
    title: str, old: Doc, new: Doc, old_titles: Mapping[str, str], new_titles: Mapping[str, str]
) -> Iterator[Difference]:
    if step_title(old) != step_title(new):
        yield Difference("changed", f"{title}: name", step_title(old), step_title(new))
    if bool(old.get("off")) != bool(new.get("off")):
        yield Difference("changed", f"{title}: turned {'off' if new.get('off') else 'on'}")
    for key in ("on_failure", "retry", "timeout_s", "cost_usd", "note"):
        was, now = _bare(old.get(key)), _bare(new.get(key))
        if was != now:
            yield Difference("changed", f"{title}: {_word(key)}", _said(was, {}), _said(now, {}))
    was_with, now_with = own_settings(old), own_settings(new)
    for key in dict.fromkeys((*was_with, *now_with)):
        if was_with.get(key) != now_with.get(key):
            yield Difference(
                "changed",
                f"{title}: {_word(key)}",
                _said(was_with.get(key), old_titles),
                _said(now_with.get(key), new_titles),
            )


def _bare(value: Any) -> Any:
    return {k: v for k, v in value.items() if k != "steps"} if isinstance(value, dict) else value


def _named(what: str, old: list[Doc], new: list[Doc], *docs: Doc) -> Iterator[Difference]:
    before = {one.get("name"): one for one in old}
    after = {one.get("name"): one for one in new}
    for name, one in after.items():
        label = f"{what} “{one.get('label') or name}”"
        if name not in before:
            yield Difference("added", label)
        elif before[name] != one:
            yield Difference(
                "changed",
                label,
                _said(before[name], _titles(docs[0])),
                _said(one, _titles(docs[1])),
            )
    for name, one in before.items():
        if name not in after:
            yield Difference("removed", f"{what} “{one.get('label') or name}”")


def _limits(old: Doc, new: Doc) -> Iterator[Difference]:
    usual = Limits().model_dump()
    before, after = usual | old, usual | new
    for key, limit in after.items():
        if before[key] != limit:
            was, now = (_limit(key, one) for one in (before[key], limit))
            yield Difference("changed", f"Limit of the run: {_LIMITS.get(key, key)}", was, now)


def _limit(key: str, limit: Any) -> str:
    if limit is None:
        return "none"
    if isinstance(limit, int | float) and not isinstance(limit, bool):
        return span(limit) if key == "seconds" else f"{limit:,}"
    return str(limit)


def _word(key: str) -> str:
    return _WORDS.get(key, key.replace("_", " "))


def _said(value: Any, titles: Mapping[str, str]) -> str:
    """Return a setting as people can read it: names of values, words of operations."""
    text = " ".join(_spoken(value, titles).split())
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"


def _spoken(value: Any, titles: Mapping[str, str]) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        if set(value) in ({"list"}, {"record"}):
            return _spoken(next(iter(value.values())), titles)
        pairs = ((key, inner) for key, inner in value.items() if key not in {"id", "name"})
        spoken = ((key, _spoken(inner, titles)) for key, inner in pairs)
        return "; ".join(f"{_word(key)}: {text}" for key, text in spoken if text)
    if isinstance(value, list):
        if value and all(isinstance(p, dict) and ("text" in p or "value" in p) and "is" not in p
                         and "label" not in p and "name" not in p for p in value):  # fmt: skip
            return plain([(f"({t})" if v else t, v) for t, v in value_pieces(value, titles)])
        return ", ".join(_spoken(one, titles) for one in value)
    text = str(value)
    return titles.get(text, text) if text.startswith("wf_") else text
