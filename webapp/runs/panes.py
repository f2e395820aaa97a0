"""What stands beside the list of steps: values, talk and facts of one step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from webapp.engine.steps import KINDS
from webapp.kernel import jsons
from webapp.kernel.asking import id_pattern
from webapp.runs.lines import awaited
from webapp.runs.presenting import asked, dollars, took_ms
from webapp.runs.watching import Chosen
from webapp.runs.words import PROBLEMS, step_word
from webapp.spending.service import Paid
from webapp.web.formats import cost, duration, moment, words
from webapp.web.shapes import shape

PREVIEW_ROWS: Final = 10
_RAW_BYTES: Final = 20_000
_RUN: Final = re.compile(id_pattern("run"))


@dataclass(frozen=True, slots=True)
class Output:
    """One named value: of the run's result, or of a step.

    Attributes:
        shown: what the page shows of it; whole: how many rows there are of a table that is cut.
    """

    name: str
    label: str
    value: Any
    shown: Any
    whole: int = 0
    download: str = ""


def came_out(chosen: Chosen) -> list[Output]:
    """Return what the step gave, each value under the words of its kind."""
    value = chosen.output
    if not isinstance(value, dict):
        return [] if value is None else [narrow("", "", value)]
    kind = KINDS.get(chosen.step.kind)
    config = chosen.step.config
    labels = {f.name: f.label for f in kind.gives(config)} if kind and config is not None else {}
    hidden = {"headers", "talk"}
    names = [name for name in labels if name in value] + [n for n in value if n not in labels]
    return [
        narrow(name, labels.get(name) or words(name), value[name])
        for name in names
        if name not in hidden and value[name] not in (None, "", [], {})
    ]


def narrow(name: str, label: str, value: Any) -> Output:
    """Return a value as it stands beside the steps: of a table the first ten rows."""
    if shape(value) == "table" and len(value) > PREVIEW_ROWS:
        return Output(name, label, value, value[:PREVIEW_ROWS], len(value))
    return Output(name, label, value, value)


def told(chosen: Chosen) -> list[tuple[str, str]]:
    """Return what an agent was told and what it answered."""
    request = asked(chosen.row.request) if chosen.row is not None else None
    if not isinstance(request, dict):
        return []
    answer = chosen.output
    said = answer.get("text") if isinstance(answer, dict) else None
    pairs = [
        ("Instructions", request.get("instructions")),
        ("Message", request.get("message")),
        ("Answer", said if isinstance(said, str) else raw(answer) if answer else ""),
    ]
    return [(title, text) for title, text in pairs if isinstance(text, str) and text]


def tool_calls(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return each tool call of an agent as a folded line shows it."""
    calls = []
    for row in rows:
        request = asked(row.request) or {}
        took = took_ms(row.started_at, row.done_at)
        said = str(request.get("tool", "A tool"))
        calls.append(
            {
                "said": f"{said}, {duration(took / 1000)}" if took is not None else said,
                "input": raw(request.get("args")),
                "output": raw(row.result) if row.result is not None else "",
                "failed": row.state == "failed",
            }
        )
    return calls


def details(chosen: Chosen, zone: str, paid: Sequence[Paid] = ()) -> list[tuple[str, str]]:
    """Return the facts of a step for whoever looks closely; `paid`: its calls of models."""
    row, step = chosen.row, chosen.step
    facts = [("Step", f"{step.id}, {step.kind}"), ("Path", chosen.path)]
    if row is None:
        return facts
    error = row.error or {}
    seconds = took_ms(row.started_at, row.done_at)
    pairs = [
        ("State", step_word(row.state, error, step.kind).text),
        ("Attempt", f"{row.attempt} of {chosen.attempts}"),
        ("Began", moment(row.started_at, zone) if row.started_at else ""),
        ("Ended", moment(row.done_at, zone) if row.done_at else ""),
        ("Took", duration(seconds / 1000) if seconds is not None else ""),
        ("Due", moment(row.due_at, zone) if row.due_at else ""),
        ("Effect outside", row.effect.replace("_", " ")),
        ("Words in, out", f"{row.tokens_in:,}, {row.tokens_out:,} tokens" if row.tokens_in else ""),
        ("Cost", _cost(row.cost_nano, paid)),
        ("Price", _prices(paid)),
        ("Estimated", _estimates(paid)),
        ("Code", error.get("code") or error.get("reason") or ""),
        ("Decided", _decided(error)),
        ("Note", error.get("note", "")),
        ("Worker", row.worker or ""),
    ]
    return facts + [(name, value) for name, value in pairs if value]


def _cost(nano: int, paid: Sequence[Paid]) -> str:
    unknown = list(dict.fromkeys(one.model for one in paid if one.amount_nano is None))
    if not unknown:
        return _exactly(nano)
    known = f"{_exactly(nano)}, and " if nano else ""
    return f"{known}unknown: no price is set for {', '.join(unknown)}"


def _exactly(nano: int) -> str:
    """Lists say "under $0.0001"; whoever looks closely wants to know."""
    return f"${dollars(nano)}" if 0 < nano < 100_000 else cost(nano) if nano else ""


def _prices(paid: Sequence[Paid]) -> str:
    """Return the rates that were used, each once."""
    said = [
        f"{one.model} {_usd(one.rates[0])} in, {_usd(one.rates[1])} out"
        for one in paid
        if one.rates is not None
    ]
    return f"{'; '.join(dict.fromkeys(said))} for a million tokens" if said else ""


def _usd(amount: Decimal) -> str:
    whole = amount.normalize()
    return f"${whole:,.2f}" if whole == round(whole, 2) else f"${whole:f}"


def _estimates(paid: Sequence[Paid]) -> str:
    count = sum(one.estimate for one in paid)
    return f"{count} of {len(paid)} model calls, by length" if count else ""


def waits_for(chosen: Chosen) -> dict[str, Any]:
    """Return the name of the signal that the step waits for, if it does."""
    signal = awaited(chosen.step, chosen.row)
    return {"signal": signal} if signal else {}


def child_of(chosen: Chosen, request: bytes | None) -> str:
    """Return the id of the run that a `workflow` step has started; "" while it has not."""
    row = chosen.row
    if row is None or chosen.step.kind != "workflow":
        return ""
    facts = (row.error or {}).get("facts") or {}
    for said in (chosen.output, facts, asked(request)):
        run = (said.get("run") or said.get("child")) if isinstance(said, dict) else None
        if isinstance(run, str) and _RUN.fullmatch(run):
            return run
    return ""


def _decided(said: dict[str, Any]) -> str:
    """Return what a person said of a step in doubt."""
    words = {"happened": "it happened", "again": "it shall be done again"}
    return f"{said['by']} said {words[said['decided']]}" if "decided" in said else ""


def raw(value: Any) -> str:
    """Return a value as indented JSON, cut where a page must end."""
    text = jsons.pretty(value)
    cut = text.encode()[:_RAW_BYTES].decode(errors="ignore")
    return cut if len(cut) == len(text) else f"{cut}\n…"


def raw_parts(chosen: Chosen) -> list[tuple[str, str]]:
    """Return (title, JSON) of what the journal keeps of the step."""
    row = chosen.row
    if row is None:
        return []
    holds_steps = bool(chosen.step.blocks)
    request = None if holds_steps else asked(row.request)
    error = row.error if "code" in (row.error or {}) else None
    parts = [("Request", request), ("Result", chosen.output), ("Error", error)]
    return [(title, raw(value)) for title, value in parts if value is not None]


def pane_state(chosen: Chosen) -> tuple[str, str]:
    """Return mark and words beside the pane's title."""
    row = chosen.row
    if row is None:
        return "queued", "Not started"
    word = step_word(row.state, row.error, row.kind)
    if word.mark == "done" and chosen.step.blocks and (chosen.output or {}).get("failed"):
        word = PROBLEMS  # items of a list, or lanes
    return word.mark, word.text
