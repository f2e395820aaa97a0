"""What Start asks for, and the values that a plan or an `each` gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webapp.workflows.forms.cards import Cards, Label
from webapp.workflows.forms.computed import TYPES
from webapp.workflows.forms.parts import (
    Check,
    Choose,
    Doc,
    Filled,
    Outside,
    Part,
    Text,
    Value,
    Words,
)

_QUESTION: Final = Label("label", "Question")
_ANSWER: Final = Choose("type", "Answer", "", (
    *TYPES[1:6], ("oneof", "One of"), ("file", "File"), ("list", "List"), ("any", "Any"),
))  # fmt: skip
_CHOICES: Final = Words("of", "Choices", "With commas between them.")
_DEFAULT: Final = Filled("default", "Filled in already")
_MUST: Final = Check("required", "Must be answered", default=True)
_HELP: Final = Text("help", "Help", most=200, width="wide")


def _question(field: Doc) -> Sequence[Part]:
    """Return what there is to say about a question, by the kind of its answer."""
    kind = field.get("type", "text")
    choices = (_CHOICES,) if kind == "oneof" else ()
    default = () if kind in {"file", "list", "record", "any"} else (_DEFAULT,)
    return (_QUESTION, _ANSWER, *choices, *default, _HELP, _MUST)


INPUTS: Final = Cards(
    "inputs", "Questions", "", choose=_question, add_label="Add a question",
    one="question", named=True,
    fresh=lambda word, present: {"label": "", "type": "text"},
)  # fmt: skip
RESULT: Final = Cards(
    "result", "Values", "", (Label("label", "Name"), Value("value", "Value", rows=1)),
    add_label="Add a value", one="value", named=True,
    fresh=lambda word, present: {"label": "", "type": "any"},
)  # fmt: skip
CARRY: Final = Cards(
    "carry", "Hand on to the next round", "Values that the steps inside find under this step.",
    (
        Label("label", "Name"),
        Choose("type", "Type", "", TYPES),
        Outside("first", "In the first round", rows=1),
        Value("value", "In each later round", "Worked out when a round has ended.", rows=1),
    ),
    add_label="Add a value", one="value", named=True,
    fresh=lambda word, present: {"label": "", "type": "any"},
)  # fmt: skip
COLLECT: Final = Cards(
    "collect", "Collect from each item", "Kept in the list's order.",
    (Label("label", "Name"), Value("value", "Value", rows=1)),
    add_label="Add a value", one="value", named=True,
    fresh=lambda word, present: {"label": "", "type": "any"},
)  # fmt: skip
