"""An approval in the words and shapes of its page: everything whole, nothing hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from webapp.engine.grammar import Field
from webapp.files.schemas import FileOut
from webapp.kernel import jsons
from webapp.kernel.clock import now
from webapp.kernel.errors import FieldError
from webapp.kernel.ids import public_id
from webapp.kernel.visible import made_visible
from webapp.runs import asking
from webapp.runs.approvals import SAID, Found
from webapp.runs.approvals_answers import editable, questions
from webapp.runs.asking import Question
from webapp.web.formats import deadline, when
from webapp.web.shapes import shape

EDIT: Final = "e."
"""Before the names of edited values in the form, so that none meets a question's."""
_LABELS: Final = {"approve": "Approve", "changes": "Ask for changes", "reject": "Reject"}


@dataclass(slots=True)
class Shown:
    """A value to check.

    Attributes:
        text: a text, written out; None: `value` is shown in its own shape.
        raw: all of a list or record as JSON.
        field: where it may be edited.
        odd: the text with what can't be seen written out, when a field shows it as it is.
    """

    label: str
    value: Any
    text: str | None = None
    raw: str = ""
    field: Question | None = None
    odd: str = ""


@dataclass(slots=True)
class ApprovalView:
    """What templates/runs/_approval.html asks.

    Attributes:
        base: address that answers go to, without the verb.
        back: where the browser goes afterwards, if not to the approval's own page.
        run_url: "" for somebody who is not signed in.
    """

    found: Found
    title: str
    workflow: str
    base: str
    zone: str
    run_url: str = ""
    back: str = ""
    files: Mapping[str, FileOut] = field(default_factory=dict)
    typed: Mapping[str, str] | None = None
    problems: list[tuple[str, str]] = field(default_factory=list)
    note_errors: list[str] = field(default_factory=list)
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.title, self.workflow = made_visible(self.title), made_visible(self.workflow)

    @property
    def id(self) -> str:
        return self.found.id

    @property
    def row(self) -> Any:
        return self.found.row

    @property
    def asked(self) -> str:
        return made_visible(self.found.people.words)

    @property
    def how_many(self) -> str:
        """Return who of several must agree, and who has."""
        needed, agreed = self.found.needed, self.found.agreed
        if needed == 1:
            return ""
        names = f", {', '.join(sorted(agreed.values()))} already" if agreed else ""
        return f"{needed} must agree{names}."

    @property
    def nobody(self) -> str:
        """Return that too few people are left to ever agree; "" when there are enough."""
        found = self.found
        if found.row.state != "open" or found.reachable >= found.needed:
            return ""
        if not found.reachable:
            return "None of the people who are asked can answer"
        return f"Only {found.reachable} of the people who are asked can answer"

    @property
    def due(self) -> str:
        return deadline(self.row.due_at, self.zone) if self.row.due_at is not None else ""

    @property
    def otherwise(self) -> str:
        """Return what happens when nobody answers."""
        if self.row.due_at is None:
            return ""
        if self.row.pass_to is not None and self.row.passed_at is None:
            return "If nobody answers by then, others are asked."
        return {
            "continue": "If nobody answers by then, the run goes on.",
            "reject": "If nobody answers by then, it counts as rejected.",
        }.get(str(self.found.asked["at_due"]), "If nobody answers by then, the step fails.")

    @property
    def round(self) -> str:
        """Return which round it is; "" when asking for changes goes back nowhere."""
        asked = self.found.asked
        return f"Round {asked['round']} of {asked['rounds']}" if "round" in asked else ""

    @property
    def changes(self) -> str:
        """Return what asking for changes leads to."""
        asked = self.found.asked
        if "round" not in asked:
            return ""
        if asked["round"] < asked["rounds"]:
            return "If changes are asked for, the note is sent back, and you are asked again."
        then = "the step fails" if asked["refusal"] == "fail" else "the run goes on"
        return f"This is the last round: if changes are asked for, {then}."

    @property
    def before(self) -> list[tuple[str, str]]:
        """Return what was asked for in earlier rounds: which and by whom, and the note."""
        return [
            (
                f"Round {one['round']}: {made_visible(str(one['by'] or 'Somebody'))} asked for "
                "changes",
                made_visible(str(one["note"] or "")),
            )
            for one in self.found.asked.get("before", [])
        ]

    @property
    def why_not(self) -> str:
        """Return why whoever looks can't answer; "" when they can."""
        found = self.found
        if found.can_answer or found.row.state != "open":
            return ""
        if found.has_spoken:
            return "You have agreed. Others must agree too."
        if found.people.is_kept_out(found.voice.id):
            if not found.people.everybody:
                return f"You started this run, so you may not answer. Asked: {self.asked}."
            return f"You started this run, so somebody else answers: {self.asked}."
        return f"Only those who are asked may answer: {self.asked}."

    @property
    def outcome(self) -> str:
        """Return who said what, and when."""
        row = self.row
        match row.state:
            case "decided":
                mail = ", by the link of a mail" if row.via == "mail" else ""
                at = when(row.decided_at, self.zone)
                return f"{row.decided_by_name} {SAID[row.decision]} this on {at}{mail}."
            case "expired":
                agreed, by = self.found.agreed.values(), when(row.due_at, self.zone)
                if agreed:
                    return f"Too few agreed by {by}: only {', '.join(agreed)}."
                return f"Nobody answered by {by}."
            case "cancelled":
                return "Nobody is asked any more: the run went another way, or was cancelled."
        return ""

    @property
    def over(self) -> str:
        """Return why the link of a mail shows nothing any more; "" while it is asked of whom
        the mail was sent to.
        """
        row, people = self.row, self.found.people
        if row.state != "open":
            return self.outcome
        if row.due_at is not None and row.due_at <= now():
            return f"The time to answer was over on {when(row.due_at, self.zone)}."
        return "" if people.may(self.found.voice) else f"This is asked of {self.asked} now."

    @property
    def ways(self) -> list[tuple[str, str]]:
        """Return the buttons: what is sent, what they say."""
        words = self.found.asked["words"]
        return [(key, made_visible(words.get(key) or label)) for key, label in _LABELS.items()]

    @property
    def note(self) -> dict[str, Any]:
        return {
            "id": f"note-{self.id}",
            "name": "note",
            "label": "Note",
            "value": (self.typed or {}).get("note", ""),
            "errors": self.note_errors,
        }

    @property
    def show(self) -> list[Shown]:
        fields = self._edits()
        labels = {one["name"]: one["label"] for one in self.found.asked["show"]}
        return [self._shown(labels[n], v, fields.get(n)) for n, v in self.found.values.items()]

    def _shown(self, label: str, value: Any, question: Question | None) -> Shown:
        label = made_visible(label)
        if question is not None and self.found.can_answer:
            question.label = label
            odd = made_visible(value) if isinstance(value, str) else ""
            return Shown(label, value, field=question, odd="" if odd == value else odd)
        if isinstance(value, str):
            return Shown(label, value, text=made_visible(value))
        is_plain = shape(value) in {"nothing", "truth", "number", "file"}
        raw = "" if is_plain else made_visible(jsons.pretty(value))
        return Shown(label, _visible(value), raw=raw)

    @property
    def questions(self) -> list[Question]:
        fields = questions(self.found.asked)
        given = asking.answers(fields, self.typed, {}, self.zone) if self.typed else {}
        defaults = {str(one.name): one.default for one in fields}
        asked = asking.questions(fields, given or defaults, {}, self.zone)
        for one in asked:
            one.label, one.description = made_visible(one.label), made_visible(one.description)
            one.choices = [(value, made_visible(word)) for value, word in one.choices]
        return self._with_errors(asked)

    def _edits(self) -> dict[str, Question]:
        fields = edit_fields(self.found)
        given: dict[str, Any] = {f"{EDIT}{n}": v for n, v in self.found.values.items()}
        if self.typed:
            given |= asking.answers(fields, self.typed, {}, self.zone)
        asked = self._with_errors(asking.questions(fields, given, {}, self.zone))
        for one in asked:
            one.optional = False  # it stands there already
        return {one.name.removeprefix(f"{asking.PREFIX}{EDIT}"): one for one in asked}

    def _with_errors(self, asked: list[Question]) -> list[Question]:
        for one in asked:
            one.errors = self.wrong.get(one.name, [])
        return asked

    def refuse(self, errors: list[FieldError], typed: Mapping[str, str]) -> None:
        """Show the form as it was typed, with each sentence at its field."""
        self.typed = typed
        for error in errors:
            kind, _, name = error.pointer.strip("/").partition("/")
            prefix = {"values": f"{asking.PREFIX}{EDIT}", "answers": asking.PREFIX}.get(kind)
            if prefix is not None:
                self.wrong.setdefault(prefix + name.split(".")[0], []).append(error.detail)
                self.problems.append((prefix + name.split(".")[0], error.detail))
            elif kind == "note":
                self.note_errors.append(error.detail)
                self.problems.append((f"note-{self.id}", error.detail))
            else:
                self.problems.append(("", error.detail))

    @property
    def run_id(self) -> str:
        return public_id("run", self.found.run.id)


def edit_fields(found: Found) -> list[Field]:
    """Return the fields of what may be edited, by names that no question can have."""
    return [
        Field.model_construct(name=f"{EDIT}{one.name}", type=one.type, required=False)
        for one in editable(found.asked, found.values)
    ]


def answer_typed(found: Found, typed: Mapping[str, str], zone: str) -> dict[str, Any]:
    """Return what a form sent in the shape that `ApprovalDecision` reads."""
    edits = asking.answers(edit_fields(found), typed, {}, zone)
    sent = {
        name.removeprefix(EDIT): _own_line_ends(value, found.values[name.removeprefix(EDIT)])
        for name, value in edits.items()
        if f"{asking.PREFIX}{name}" in typed or value is False
    }
    given = asking.answers(questions(found.asked), typed, {}, zone)
    return {
        "decision": typed.get("decision", ""),
        "note": typed.get("note", ""),
        "shown": typed.get("shown", "")[:64] or None,
        "values": sent,
        "answers": given,
    }


def _own_line_ends(value: Any, before: Any) -> Any:
    """Return a text with line ends as it had them: browsers send all as carriage returns."""
    if isinstance(value, str) and not (isinstance(before, str) and "\r\n" in before):
        return value.replace("\r\n", "\n")
    return value


def _visible(value: Any) -> Any:
    """Return a list or record with every text in it written out."""
    if isinstance(value, str):
        return made_visible(value)
    if isinstance(value, list):
        return [_visible(one) for one in value]
    if isinstance(value, dict):
        return {made_visible(str(name)): _visible(one) for name, one in value.items()}
    return value
