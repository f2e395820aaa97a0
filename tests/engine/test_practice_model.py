"""The practice model does by rules what it can, and says so."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from webapp.engine.errors import StepError
from webapp.engine.grammar import Field
from webapp.engine.providers import Answer, Ask, Hooks, Providers, ToolOffer
from webapp.engine.testing import Till

MAIL = """From: ada@acme.example
Subject: Printer
Customer: Acme Ltd

Our printer is down and we need help immediately, the deadline is today.
Invoice 4711 of 3 March 2026 was 1,234.50 EUR. The printer prints nothing. Thanks, Ada Lovelace.
"""


def ask(question: Ask, hooks: Hooks | None = None) -> Answer:
    return asyncio.run(Providers().answer(question, hooks or Hooks()))


def fields(*wanted: Field) -> dict[str, Any]:
    answer = ask(Ask("practice", "Read the mail.", MAIL, gives=wanted))
    assert answer.fields is not None
    return answer.fields


def test_it_says_that_it_is_the_practice_model_and_streams() -> None:
    pieces: list[str] = []

    answer = ask(Ask("practice", "Summarize this.", MAIL), Hooks(emit=pieces.append))

    assert "built-in practice model" in answer.text
    assert "".join(pieces) == answer.text
    assert len(pieces) > 3


def test_it_chooses_among_the_options_of_the_instructions() -> None:
    answer = ask(Ask("practice", "Classify the mail as one of: spam, urgent, normal.", MAIL))

    assert answer.text.startswith("urgent\n")


def test_it_extracts_what_has_a_form() -> None:
    answer = ask(Ask("practice", "Extract all data.", MAIL))

    assert "Mail addresses: ada@acme.example" in answer.text
    assert "Dates: 2026-03-03" in answer.text
    assert "1234.50" in answer.text


def test_it_fills_fields_of_every_type() -> None:
    found = fields(
        Field(name="category", type="oneof", of=["normal", "urgent", "spam"]),
        Field(name="email", label="Email", type="text"),
        Field(name="customer", label="Customer", type="text"),
        Field(name="amount", label="Amount", type="number", max=4000),
        Field(name="day", label="Day", type="date"),
        Field(name="printer", label="About a printer", type="boolean"),
        Field(name="points", type="list", items=Field(type="text")),
    )

    assert found["category"] == "urgent"
    assert found["email"] == "ada@acme.example"
    assert found["customer"] == "Acme Ltd"
    assert found["amount"] == Decimal("1234.50")
    assert found["day"] == "2026-03-03"
    assert found["printer"] is True
    assert len(found["points"]) > 1


def test_what_it_makes_up_it_notes() -> None:
    wanted = Field(name="weight", label="Weight", type="number", min=1_000_000)

    with pytest.raises(StepError, match="E-ANSWER-FORMAT"):
        ask(Ask("practice", "", "No numbers here.", gives=(wanted,)))

    answer = ask(Ask("practice", "", "None.", gives=(Field(name="weight", type="number"),)))
    assert answer.fields == {"weight": 0}
    assert answer.notes == ["The practice model found nothing for “weight” and made it up."]


def test_it_does_sums_with_the_calculator() -> None:
    asked: list[dict[str, Any]] = []

    async def call(name: str, args: dict[str, Any]) -> dict[str, Any]:
        asked.append(args)
        return {"answer": Decimal("7.5")}

    offer = ToolOffer("calculator", "Counts.", {})
    answer = ask(Ask("practice", "", "What is 3 * 2.5?", tools=(offer,)), Hooks(call=call))

    assert asked == [{"expression": "3 * 2.5"}]
    assert "3 * 2.5 = 7.5" in answer.text


def test_it_counts_its_tokens() -> None:
    till = Till()

    ask(Ask("practice", "", "A text of some length."), Hooks(money=till))

    ((what, tokens_in, _, _),) = till.told
    assert what == "count"
    assert tokens_in > 0


def test_default_is_the_practice_model_where_no_server_is_set_up() -> None:
    assert ask(Ask("default", "", "Hello there.")).model == "practice"


def test_a_named_model_without_a_server_says_what_to_set() -> None:
    with pytest.raises(StepError) as failure:
        ask(Ask("gpt-5", "", "Hello."))

    assert failure.value.code == "E-PROVIDER-NONE"
    assert "MODEL_BASE_URL" in failure.value.text


@pytest.mark.parametrize("text", ["", " ", "((((" * 200, "a" * 200_000, "1,,2..3 -- \x00 ÿ"])
def test_odd_texts_do_not_upset_it(text: str) -> None:
    everything = tuple(
        Field(name=f"f_{kind}", type=kind, required=False, of=["a"], items=Field(type="text"))
        for kind in ("text", "number", "boolean", "date", "datetime", "oneof", "list", "record")
    )
    assert ask(Ask("practice", "Extract", text)).text
    assert ask(Ask("practice", "", text, gives=everything)).fields is not None
