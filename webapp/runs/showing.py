"""A run in the words and shapes of its page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from webapp.engine.steps.each import gives
from webapp.kernel.clock import now
from webapp.kernel.ids import public_id, short
from webapp.runs import failing
from webapp.runs.approvals_showing import ApprovalView
from webapp.runs.doubting import Doubt
from webapp.runs.lines import Line
from webapp.runs.models import PART
from webapp.runs.panes import PREVIEW_ROWS, Output, narrow
from webapp.runs.parts import part_of
from webapp.runs.presenting import took_ms, word_of
from webapp.runs.rehearsing import KIND, Unsent
from webapp.runs.relations import Relation
from webapp.runs.standing import IN_BIN, MOST_COUNTED, Standing
from webapp.runs.watching import Watched
from webapp.web.formats import cost, duration, words
from webapp.web.shapes import shape

_FINDING: Final = 300
_NAMED: Final = 5
STARTED: Final = "start."
"""Before the name of a value of the start that is shown in full, so that no result's meets it."""
VIEWS: Final = frozenset({"out", "in", "details", "items", "talk"})
EVERY_S: Final = {"queued": 2, "running": 2, "waiting": 2, "paused": 30, "needs_review": 30}
_SLOW: Final = frozenset({"person", "signal"})
"""Who waits for these waits long: asking every 10 s is enough."""


@dataclass(slots=True)
class RunView:
    """What templates/runs ask of a run."""

    watched: Watched
    base: str
    step: str = ""
    view: str = "out"
    still: bool = False
    whole: str = ""
    outputs: list[Output] = field(default_factory=list)
    finding: str = ""
    files: dict[str, Any] = field(default_factory=dict)
    pane: dict[str, Any] = field(default_factory=dict)
    neighbors: tuple[UUID | None, UUID | None] = (None, None)
    doubts: list[Doubt] = field(default_factory=list)
    doubts_in_all: int = 0
    standing: Standing | None = None
    approvals: list[ApprovalView] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    unsent: list[Unsent] = field(default_factory=list)
    zone: str = "UTC"

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
    def is_rehearsal(self) -> bool:
        return bool(self.run.kind == KIND)

    @property
    def mark(self) -> str:
        return word_of(self.row).mark

    @property
    def active(self) -> bool:
        return not self.run.is_over

    @property
    def refreshes(self) -> bool:
        """Whether it comes anew by itself without script; never while somebody is to write."""
        writes = self.run.state == "needs_review" or any(a.found.can_answer for a in self.approvals)
        return self.active and not self.still and not writes and "signal" not in self.pane

    @property
    def ways(self) -> list[tuple[str, str, str]]:
        """Return the answers to a doubt: what is sent, what is pressed, and what it means."""
        if self.row.cancelling:
            ends = "The run ends as cancelled."
            return [
                ("happened", "It happened", f"The step counts as done. {ends}"),
                ("again", "It did not happen", f"Nothing is sent again. {ends}"),
            ]
        done = "The step counts as done, and later steps get no values from it."
        again = "The same is sent once more. Choose this only when you are sure."
        return [("happened", "It happened", done), ("again", "Do it again", again)]

    @property
    def can_pause(self) -> bool:
        paused = self.run.state == "paused" and self.row.lease.wait_reason == "run"
        return self.active and not (paused or self.row.pausing or self.run.state == "needs_review")

    @property
    def can_resume(self) -> bool:
        held = self.run.state == "paused" or self.row.pausing
        return held and self.row.lease is not None and self.row.lease.wait_reason == "run"

    @property
    def held_where(self) -> tuple[str, str] | None:
        """Return the page on which what holds the run can be changed: words and address."""
        held = self.standing.held if self.standing is not None else ""
        if held.endswith(IN_BIN):
            return "Open its runs", f"{self.workflow_url}/runs"
        if "this workflow" in held:
            return "Open its settings", f"{self.workflow_url}/settings"
        return ("Open the line", f"{self.org}/queue") if "organization" in held else None

    @property
    def standing_text(self) -> str:
        """Return where the run stands, as a sentence."""
        found = self.standing
        if found is None or found.ahead is None:
            held = found.held if found is not None else ""
            begins = found is not None and found.wait_s
            return f"{held} It begins in about {duration(begins)}." if begins else held
        who = {0: "It is next in line.", 1: "One run is before it in line."}
        place = who.get(found.ahead, f"{found.ahead:,} runs are before it in line.")
        if found.ahead >= MOST_COUNTED:
            place = f"More than {MOST_COUNTED:,} runs are before it in line."
        about = f"It begins in about {duration(found.wait_s)}." if found.wait_s else ""
        return " ".join(filter(None, (found.held, place, about)))

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
        if run.state == "waiting" and run.reason == "breaker":
            return _away(self.watched.lines, self.zone) or word
        return word

    @property
    def failed_number(self) -> int | None:
        places = self.watched.places
        step = places.step_at(str((self.run.error or {}).get("path", "")))
        return places.numbers[step.id] if step is not None else None

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
    def said_above(self) -> str:
        """Return the id of the box above that says what the pane would say of its step."""
        chosen = self.watched.chosen
        if chosen is None or chosen.row is None:
            return ""
        if chosen.row.state == "failed" and self.run.state == "failed":
            return "fail-title" if (self.run.error or {}).get("path") == chosen.path else ""
        asked = [one for one in self.approvals if one.row.path == chosen.path]
        if asked:
            return f"approval-{asked[0].id}"
        return f"ask-{chosen.id}" if any(one.path == chosen.path for one in self.doubts) else ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        total = len(self.watched.places.numbers)
        facts = [("Step", f"{self.watched.settled} of {total}")]
        not_begun = "Not started yet" if self.active else "Never started"
        facts.append(("Time", duration(self.took_s) if self.run.started_at else not_begun))
        facts.append(("Cost so far" if self.active else "Cost", cost(self.row.cost_nano)))
        sent = self.watched.outside
        asks = self.run.state == "needs_review" or self.row.reason == "review"
        said = f"{sent:,}" if sent else "Nothing"
        if asks or not self.watched.is_certain:
            said = f"{sent:,} or more" if sent else "Not certain"
        facts.append(("Sent outside", said))
        if self.is_rehearsal:
            facts[-1] = ("Would have sent", f"{len(self.unsent):,}" if self.unsent else "Nothing")
        return facts

    @property
    def every_s(self) -> int:
        if self.run.state == "waiting" and self.run.reason in {"time", "retry"}:
            return EVERY_S["running"]  # the moment may be near, and nobody has to act for it
        if self.run.state == "waiting" and self.run.reason in _SLOW:
            return 10
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
        more = {
            "each": [("items", "Items")],
            "repeat": [("items", "Rounds")],
            "agent": [("talk", "Talk")],
        }.get(kind, [])
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
    def beside(self) -> list[tuple[str, str, str, str]]:
        """Return links to the runs before and after this one: words, address, rel, key."""
        ways = [("Previous run", "prev", "["), ("Next run", "next", "]")]
        return [
            (words, self._run_url(run), rel, key)
            for (words, rel, key), run in zip(ways, self.neighbors, strict=True)
            if run is not None
        ]

    @property
    def fix_url(self) -> str:
        step = (self.run.error or {}).get("step", "")
        return f"{self.workflow_url}?step={step}" if step else self.workflow_url

    @property
    def again_url(self) -> str:
        if self.run.kind == PART:
            return f"{self._run_url(self.run.parent_run)}/again"
        draft = "" if self.row.version else "&version=draft"
        return f"{self.workflow_url}/run?from={self.id}{draft}"

    def again_from(self, path: str) -> str:
        """Return the address of what running again from a step would mean; "" is the beginning."""
        query = urlencode({"from": path}, safe="/:[]!")
        return f"{self.base}/again?{query}" if path else f"{self.base}/again"

    @property
    def can_again(self) -> str:
        """Return where the chosen step would be done again; "" when it can't be."""
        chosen = self.watched.chosen
        if self.active or chosen is None or chosen.row is None:
            return ""
        return self.again_from(chosen.path)

    @property
    def retry_url(self) -> str:
        path = str((self.run.error or {}).get("path", ""))
        return self.again_from(path) if path and not self.active else ""

    @property
    def needs_other_values(self) -> bool:
        """Whether only other answers help, so that trying again is not what to do first."""
        return bool(self.run.inputs) and failing.fails_alike(self.watched)

    @property
    def related(self) -> list[tuple[str, str, str, str]]:
        """Return how it belongs to other runs: words, the run's short name, its address, words."""
        return [
            (one.before, short(public_id("run", one.run_id)), self._run_url(one.run_id), one.after)
            for one in self.relations
        ]

    @property
    def child(self) -> tuple[str, str]:
        """Return the run that the chosen step has started: its short name and address."""
        run = str(self.pane.get("child") or "")
        return (short(run), f"{self.list_url}/{run}") if run else ("", "")

    @property
    def signal_field(self) -> dict[str, Any]:
        """Return the field for what goes with the signal that the chosen step waits for."""
        typed, wrong = self.pane.get("typed", ""), self.pane.get("wrong", [])
        return {"id": "signal-data", "name": "data", "value": typed, "errors": wrong}

    def _run_url(self, run_id: UUID) -> str:
        return f"{self.list_url}/{public_id('run', run_id)}"

    @property
    def failure(self) -> dict[str, Any]:
        return failing.failure(self.watched, self.failed_number)

    @property
    def receipt(self) -> list[tuple[str, str, str]]:
        return [
            (
                f"{line.number or ''} {line.name}".strip(),
                duration(line.seconds),
                cost(line.cost_nano),
            )
            for line in self.watched.lines
        ]

    @property
    def started_with(self) -> list[Output]:
        """Return the values of the start; of a long table the first rows, or what `all` names."""
        labels = {field.name: field.label for field in self.watched.places.plan.inputs}
        return [
            Output(name, labels.get(name) or words(name), value, value)
            if self.whole == f"{STARTED}{name}"
            else narrow(name, labels.get(name) or words(name), value)
            for name, value in self.run.inputs.items()
        ]

    @property
    def went_wrong(self) -> str:
        """Return in which steps something failed of a run that finished with problems."""
        found = [f"step {one.number} “{one.name}”" for one in self.watched.lines if one.went_wrong]
        if not found:
            return "Below you find what failed."
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return f"It happened in {', '.join(found[:_NAMED])}{more}."


def result_outputs(view: RunView, result: dict[str, Any]) -> None:
    """Fill in the result: a short text becomes the finding, long tables are cut to ten rows."""
    outputs: Sequence[Any] = view.watched.places.plan.result
    if (part := part_of(view.row)) is not None:
        outputs = gives(view.watched.places.steps[part["step"]].config)
    for output in outputs:
        if output.name not in result:
            continue
        value = result[output.name]
        label = output.label or words(output.name)
        if not view.finding and isinstance(value, str) and _is_finding(value):
            view.finding = value
            continue
        view.outputs.append(_output(view, output.name, label, value))


def _is_finding(text: str) -> bool:
    return 0 < len(text) <= _FINDING and "\n" not in text.strip()


def _output(view: RunView, name: str, label: str, value: Any) -> Output:
    kind = shape(value)
    suffix = "csv" if kind == "table" else "txt" if kind == "text" else "json"
    download = f"{view.base}/result/{name}.{suffix}" if kind in {"table", "text", "list"} else ""
    if kind == "table" and len(value) > PREVIEW_ROWS and view.whole != name:
        return Output(name, label, value, value[:PREVIEW_ROWS], len(value), download)
    return Output(name, label, value, value, 0, download)


def _away(lines: Sequence[Line], zone: str) -> str:
    """Return the word of the first step that waits for a service: "… to recover (until 15:00)"."""
    for line in lines:
        if line.away and line.due_at is not None:
            local = line.due_at.astimezone(ZoneInfo(zone))
            return f"{line.word.text} (until {local:%H:%M})"
        if inside := _away(line.lines, zone):
            return inside
    return ""
