"""Why a run failed, in the words of its page: what happened, what was done, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from webapp.engine.steps import KINDS
from webapp.kernel.catalogue import CATALOGUE
from webapp.runs.presenting import title_of
from webapp.runs.watching import Watched
from webapp.web.shapes import cell

_ON_WHAT_IT_GETS: Final = frozenset({"E-FILE-CSV", "E-TOOL-INPUT", "E-HTTP-URL"})
"""Refusals of what a step was given, before it did anything."""


def failure(watched: Watched, number: int | None) -> dict[str, Any]:
    """Return what the box of a failed run says: what happened, what was done, what to do."""
    error = watched.row.run.error or {}
    code, text = str(error.get("code", "E-OURS")), str(error.get("text") or "")
    entry = CATALOGUE.get(code)
    first, _, rest = text.partition(". ")
    title = first.rstrip(".") or (entry.title if entry else "The run failed")
    said = rest not in {"", "Nothing was sent."}  # what was sent is said below
    rows = [("What happened", rest)] if said else []
    name = _step_name(watched, str(error.get("path", "")))
    if number and name:
        rows.append(("Where", f"Step {number}, {name}"))
    rows.append(("Done before that", _done_before(watched, number)))
    rows.append(("To fix it", _remedy(code, number)))
    facts = error.get("facts") or {}
    technical = [f"{key}: {cell(value)}" for key, value in facts.items()]
    technical = [
        f"path: {error.get('path', '–')}",
        f"attempts: {error.get('attempts', 1)}",
        *technical,
    ]
    return {"title": title, "rows": rows, "code": code, "details": "\n".join(technical)}


def fails_alike(watched: Watched) -> bool:
    """Whether the failed step would fail again on the same values: it only works with them."""
    error = watched.row.run.error or {}
    step = watched.places.step_at(str(error.get("path", "")))
    kind = KINDS.get(step.kind) if step is not None else None
    return error.get("code") in _ON_WHAT_IT_GETS or bool(kind and kind.compute)


def _step_name(watched: Watched, path: str) -> str:
    step = watched.places.step_at(path)
    return title_of(step) if step is not None and step.kind in KINDS else ""


def _done_before(watched: Watched, failed: int | None) -> str:
    done = [
        one for one in watched.lines if one.state in {"done", "problems"} and one.number != failed
    ]
    numbers = [number for one in done for number in watched.places.numbered(one.path)]
    return f"{_numbers(numbers)} {_outside(watched)}"


def _outside(watched: Watched) -> str:
    if not watched.outside:
        nothing, unsure = "Nothing was sent outside.", "It is not certain what was sent outside."
        return nothing if watched.is_certain else unsure
    more = "" if watched.is_certain else ", and perhaps more"
    if watched.outside == 1:
        return f"One thing was sent outside{more}."
    return f"{watched.outside} things were sent outside{more}."


def _numbers(numbers: Sequence[int]) -> str:
    if not numbers:
        return "No step."
    if len(numbers) == 1:
        return f"Step {numbers[0]}."
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"Steps {numbers[0]} to {numbers[-1]}."
    return f"Steps {', '.join(map(str, numbers))}."


def _remedy(code: str, number: int | None) -> str:
    step = f"step {number}" if number else "the step"
    remedies = {
        "E-HTTP-4XX": f"Check what {step} sends and its address, then run again.",
        "E-HTTP-5XX": "It is on the other side. Run again later.",
        "E-BREAKER": "It is on the other side. Run again when it answers.",
        "E-PROVIDER-DOWN": "It is on the other side. Run again later.",
        "E-PROVIDER-BUSY": "Run again later, or use another model.",
        "E-SIGNAL-LATE": f"Run again and send the signal, or give {step} more time.",
        "E-CHILD": "Open the run that it started, put right what failed there, then run again.",
        "E-HTTP-REACH": f"Check the address in {step}, then run again.",
        "E-FILE-CSV": f"Run again with a file that fits, or change {step}.",
        "E-TIME": f"Allow {step} more time, then run again.",
        "E-LIST-LIMIT": f"Raise the limit of {step}, or filter the list before it.",
        "E-VALUE-EMPTY": f"Say in {step} what to use when the value is empty.",
        "E-REPEAT-LIMIT": f"Change the condition of {step} or allow more rounds, then run again.",
        "E-COST-RUN": f"Raise the cost limit of {step}, then run again.",
        "E-STOP": "The workflow itself ended this run. Do what its message says, then run again.",
        "E-RUN-HUNG": "Look whether the other system answers, then run again.",
        "E-REJECTED": "Do what the note says, then run again.",
        "E-CHANGES": "Do what the note says, then run again.",
        "E-APPROVAL-LATE": f"Run again to ask again, or give people more time in {step}.",
        "E-APPROVAL-BLOCKED": "Run again. What is asked is then shown anew.",
        "E-OURS": "Run again. If it stays, tell the keeper of this machine the code.",
    }
    entry = CATALOGUE.get(code)
    usual = f"Change {step} or what it was given, then run again."
    return remedies.get(code) or (entry.text if entry and "{" not in entry.text else "") or usual
