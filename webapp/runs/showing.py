"""A run in the words and shapes of its page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from webapp.engine.steps import KINDS
from webapp.kernel import jsons
from webapp.kernel.catalogue import CATALOGUE
from webapp.kernel.clock import now
from webapp.kernel.ids import public_id
from webapp.runs.lines import Line
from webapp.runs.presenting import asked, took_ms, word_of
from webapp.runs.watching import Chosen, Watched
from webapp.runs.words import step_word
from webapp.web.formats import cost, duration, words
from webapp.web.shapes import cell, shape

PREVIEW_ROWS: Final = 10
_FINDING: Final = 300
_RAW_BYTES: Final = 20_000
VIEWS: Final = frozenset({"out", "in", "details", "items", "talk"})
EVERY_S: Final = {"queued": 2, "running": 2, "waiting": 10, "paused": 30, "needs_review": 30}


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


@dataclass(slots=True)
class RunView:
    """What templates/runs ask of a run."""

    watched: Watched
    base: str
    step: str = ""
    view: str = "out"
    still: bool = False
    outputs: list[Output] = field(default_factory=list)
    finding: str = ""
    files: dict[str, Any] = field(default_factory=dict)
    pane: dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> Any:
        return self.watched.row.run

    @property
    def id(self) -> str:
        return public_id("run", self.run.id)

    @property
    def row(self) -> Any:
        return self.watched.row

    @property
    def mark(self) -> str:
        return word_of(self.row).mark

    @property
    def active(self) -> bool:
        return not self.run.is_over

    @property
    def has_pane(self) -> bool:
        """Whether a step stands beside the list: always while it works, or one was chosen."""
        return self.active or self.watched.chosen is not None

    @property
    def state_text(self) -> str:
        """Return the word with what matters beside it: "Running, 41 s"; "Failed at step 4"."""
        word, run = word_of(self.row).text, self.run
        if run.state == "running" and not self.row.cancelling:
            return f"{word}, {duration(self.took_s)}"
        if run.state == "done" and not run.problems:
            return f"{word} in {duration(self.took_s)}"
        if run.state == "failed" and self.failed_number:
            return f"{word} at step {self.failed_number}"
        return word

    @property
    def failed_number(self) -> int | None:
        step = str((self.run.error or {}).get("path", ""))
        return self.watched.places.roots.get(re.split(r"[:/\[!]", step)[0])

    @property
    def took_s(self) -> float | None:
        run = self.run
        if run.started_at is None:
            return None
        milliseconds = run.took_ms
        if milliseconds is None:
            milliseconds = took_ms(run.started_at, run.finished_at or now())
        return (milliseconds or 0) / 1000

    @property
    def version(self) -> str:
        return f"version {self.row.version}" if self.row.version else "the draft"

    @property
    def facts(self) -> list[tuple[str, str]]:
        total = len(self.watched.places.plan.steps)
        facts = [("Step", f"{self.watched.settled} of {total}")]
        facts.append(("Time", duration(self.took_s) if self.run.started_at else "Not started yet"))
        facts.append(("Cost so far" if self.active else "Cost", cost(self.row.cost_nano)))
        sent = self.watched.outside
        facts.append(("Sent outside", f"{sent:,}" if sent else "Nothing"))
        return facts

    @property
    def every_s(self) -> int:
        return EVERY_S.get(self.run.state, 0)

    def here(self, **more: Any) -> str:
        """Return this page's address with the chosen step and view."""
        kept = {"step": self.step, "view": self.view if self.view != "out" else ""} | more
        query = urlencode({name: value for name, value in kept.items() if value}, safe="/:[]!")
        return f"{self.base}?{query}" if query else self.base

    def href(self, path: str, view: str = "") -> str:
        return self.here(step=path, view=view)

    @property
    def heading(self) -> str:
        """Return the first sentence of the finding, as heading of the result."""
        return self._finding[0] or "Result"

    @property
    def lead(self) -> str:
        return self._finding[1]

    @property
    def _finding(self) -> tuple[str, str]:
        first, _, rest = re.sub(r"([.!?]) (?=[A-Z0-9])", "\\1\n", self.finding).partition("\n")
        return first.rstrip("."), rest.replace("\n", " ")

    @property
    def views(self) -> list[tuple[str, str]]:
        """Return the views of the chosen step: (key, words)."""
        chosen = self.watched.chosen
        kind = chosen.step.kind if chosen is not None else ""
        more = {"each": [("items", "Items")], "agent": [("talk", "Talk")]}.get(kind, [])
        return [("out", "Came out"), ("in", "Went in"), *more, ("details", "Details")]

    @property
    def org(self) -> str:
        return self.base.rpartition("/runs/")[0]

    @property
    def list_url(self) -> str:
        return f"{self.org}/runs"

    @property
    def workflow_url(self) -> str:
        return f"{self.org}/workflows/{public_id('wf', self.run.workflow_id)}"

    @property
    def fix_url(self) -> str:
        step = (self.run.error or {}).get("step", "")
        return f"{self.workflow_url}?step={step}" if step else self.workflow_url

    @property
    def again_url(self) -> str:
        draft = "" if self.row.version else "&version=draft"
        return f"{self.workflow_url}/run?from={self.id}{draft}"

    @property
    def failure(self) -> dict[str, Any]:
        return failure(self)

    @property
    def receipt(self) -> list[tuple[str, str, str]]:
        return [
            (f"{line.number} {line.name}", duration(line.seconds), cost(line.cost_nano))
            for line in self.watched.lines
        ]

    @property
    def started_with(self) -> list[tuple[str, Any]]:
        labels = {field.name: field.label for field in self.watched.places.plan.inputs}
        return [(labels.get(name) or words(name), value) for name, value in self.run.inputs.items()]


def result_outputs(view: RunView, result: dict[str, Any], whole: str = "") -> None:
    """Fill in the result: a short text becomes the finding, long tables are cut to ten rows.

    Args:
        whole: name of the output that is shown in full.
    """
    plan = view.watched.places.plan
    for output in plan.result:
        if output.name not in result:
            continue
        value = result[output.name]
        label = output.label or words(output.name)
        if not view.finding and isinstance(value, str) and _is_finding(value):
            view.finding = value
            continue
        view.outputs.append(_output(view, output.name, label, value, whole))


def _is_finding(text: str) -> bool:
    return 0 < len(text) <= _FINDING and "\n" not in text.strip()


def _output(view: RunView, name: str, label: str, value: Any, whole: str) -> Output:
    kind = shape(value)
    suffix = "csv" if kind == "table" else "txt" if kind == "text" else "json"
    download = f"{view.base}/result/{name}.{suffix}" if kind in {"table", "text", "list"} else ""
    if kind == "table" and len(value) > PREVIEW_ROWS and whole != name:
        return Output(name, label, value, value[:PREVIEW_ROWS], len(value), download)
    return Output(name, label, value, value, 0, download)


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


def details(chosen: Chosen, zone: str) -> list[tuple[str, str]]:
    """Return the facts of a step for whoever looks closely."""
    from webapp.web.formats import moment

    row, step = chosen.row, chosen.step
    facts = [("Step", f"{step.id}, {step.kind}"), ("Path", chosen.path)]
    if row is None:
        return facts
    error = row.error or {}
    seconds = took_ms(row.started_at, row.done_at)
    pairs = [
        ("State", row.state),
        ("Attempt", f"{row.attempt} of {chosen.attempts}"),
        ("Began", moment(row.started_at, zone) if row.started_at else ""),
        ("Ended", moment(row.done_at, zone) if row.done_at else ""),
        ("Took", duration(seconds / 1000) if seconds is not None else ""),
        ("Due", moment(row.due_at, zone) if row.due_at else ""),
        ("Effect outside", row.effect.replace("_", " ")),
        ("Words in, out", f"{row.tokens_in:,}, {row.tokens_out:,} tokens" if row.tokens_in else ""),
        ("Cost", cost(row.cost_nano) if row.cost_nano else ""),
        ("Code", error.get("code") or error.get("reason") or ""),
        ("Worker", row.worker or ""),
    ]
    return facts + [(name, value) for name, value in pairs if value]


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
    parts = [("Request", request), ("Result", chosen.output), ("Error", row.error)]
    return [(title, raw(value)) for title, value in parts if value is not None]


def failure(view: RunView) -> dict[str, Any]:
    """Return what the box of a failed run says: what happened, what was done, what to do."""
    error = view.run.error or {}
    code, text = str(error.get("code", "E-OURS")), str(error.get("text") or "")
    entry = CATALOGUE.get(code)
    first, _, rest = text.partition(". ")
    title = first.rstrip(".") or (entry.title if entry else "The run failed")
    rows = [("What happened", rest)] if rest else []
    number = view.failed_number
    name = _step_name(view, str(error.get("path", "")))
    if number and name:
        rows.append(("Where", f"Step {number}, {name}"))
    rows.append(("Done before that", _done_before(view)))
    rows.append(("To fix it", _remedy(code, number)))
    facts = error.get("facts") or {}
    technical = [f"{key}: {cell(value)}" for key, value in facts.items()]
    technical = [
        f"path: {error.get('path', '–')}",
        f"attempts: {error.get('attempts', 1)}",
        *technical,
    ]
    return {"title": title, "rows": rows, "code": code, "details": "\n".join(technical)}


def _step_name(view: RunView, path: str) -> str:
    step = view.watched.places.step_at(path)
    return (step.name or KINDS[step.kind].label) if step is not None and step.kind in KINDS else ""


def _done_before(view: RunView) -> str:
    failed = view.failed_number
    done = [one for one in view.watched.lines if one.state == "done" and one.number != failed]
    sent = view.watched.outside
    outside = "Nothing was sent outside." if not sent else f"{sent} things were sent outside."
    if sent == 1:
        outside = "One thing was sent outside."
    return f"{_numbers(done)} {outside}"


def _numbers(done: list[Line]) -> str:
    numbers = [line.number for line in done if line.number]
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
        "E-HTTP-REACH": f"Check the address in {step}, then run again.",
        "E-TIME": f"Allow {step} more time, then run again.",
        "E-LIST-LIMIT": f"Raise the limit of {step}, or filter the list before it.",
        "E-VALUE-EMPTY": f"Say in {step} what to use when the value is empty.",
        "E-COST-RUN": f"Raise the cost limit of {step}, then run again.",
        "E-STOP": "The workflow itself ended this run. Do what its message says, then run again.",
        "E-OURS": "Run again. If it stays, tell the keeper of this machine the code.",
    }
    entry = CATALOGUE.get(code)
    usual = f"Change {step} or what it was given, then run again."
    return remedies.get(code) or (entry.text if entry and "{" not in entry.text else "") or usual


def pane_state(chosen: Chosen) -> tuple[str, str]:
    """Return mark and words beside the pane's title."""
    row = chosen.row
    if row is None:
        return "queued", "Not started"
    error = row.error or {}
    word = step_word(row.state, again=bool(error.get("again")), off=error.get("reason") == "off")
    return word.mark, word.text


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return a table as CSV that a spreadsheet opens without running formulas in it."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow([_plain(name) for name in names])
    for row in rows:
        writer.writerow([_plain(row.get(name)) for name in names])
    return "\ufeff" + target.getvalue()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int | float) or hasattr(value, "as_tuple"):
        return value
    text = value if isinstance(value, str) else jsons.dumps(value)
    # A cell that begins so would be run as a formula.
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
