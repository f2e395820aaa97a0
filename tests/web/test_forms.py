"""Forms read what people type; the draft decides; the sentences come back to the fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import pytest
from flask import Flask
from pydantic import Field, field_validator

from webapp.kernel.drafts import Draft, validated
from webapp.kernel.errors import Invalid
from webapp.web.forms import DraftForm, form_of, number_of, posted


class Order(Draft):
    name: str = Field(
        title="Name",
        description="What it is called.",
        min_length=1,
        max_length=10,
        json_schema_extra={"enter": "a name for the order"},
    )
    pieces: int | None = Field(None, title="Pieces", ge=1, le=6000)
    price: Decimal | None = Field(None, title="Price")
    express: bool = Field(False, title="Express")
    size: Literal["small", "large"] = Field("small", title="Size")
    extras: list[Literal["gift", "card"]] = Field([], title="Extras")
    note: str = Field("", title="Note", json_schema_extra={"widget": "area"})

    @field_validator("note")
    @classmethod
    def _polite(cls, note: str) -> str:
        if "!" in note:
            raise ValueError("Write it without an exclamation mark.")
        return note


def typed(app: Flask, **fields: Any) -> DraftForm[Order]:
    with app.test_request_context("/", method="POST", data=fields):
        return posted(Order)


def test_what_is_typed_becomes_a_draft(app: Flask) -> None:
    form = typed(
        app, name="  Tea ", pieces="1,200", price="1.234,50", express="on", extras=["gift", "card"]
    )

    assert form.draft() == Order(
        name="Tea",
        pieces=1200,
        price=Decimal("1234.50"),
        express=True,
        extras=["gift", "card"],
    )


def test_empty_fields_are_not_given(app: Flask) -> None:
    assert typed(app, name="Tea", pieces="", price=" ").draft() == Order(name="Tea")


def test_the_order_of_the_sentences_is_the_order_of_the_fields(app: Flask) -> None:
    form = typed(app, name="", pieces="0", price="much", size="huge", note="Now!")

    assert form.draft() is None
    assert form.errors_in_order == [
        ("name", "Enter a name for the order."),
        ("pieces", "Pieces must be between 1 and 6,000."),
        ("price", "Price must be a number."),
        ("size", "Choose one of: 'small' or 'large'."),
        ("note", "Write it without an exclamation mark."),
    ]


def test_a_long_text_is_told_its_length(app: Flask) -> None:
    form = typed(app, name="Darjeeling tea")
    form.draft()

    assert form.name.errors == ["Name must be 10 characters or fewer. It has 14."]
    assert form.name.data == "Darjeeling tea"


def test_unknown_fields_change_nothing(app: Flask) -> None:
    assert typed(app, name="Tea", role="owner", id="1").draft() == Order(name="Tea")


def test_what_the_service_refuses_stands_at_its_field(app: Flask) -> None:
    def refuse(_: Order) -> None:
        raise Invalid.at("/name", "E-FIELD-TAKEN", what="Name", thing="order", name="Tea")

    form = typed(app, name="Tea")

    assert form.submit(refuse) is None
    assert form.name.errors == ["There is already a order called “Tea”. Choose another name."]


def test_what_belongs_to_no_field_is_general(app: Flask) -> None:
    def refuse(_: Order) -> None:
        raise Invalid([], code="E-LOGIN")

    form = typed(app, name="Tea")
    form.submit(refuse)

    assert form.errors_in_order == [("", "The email or password does not match. Check both.")]


def test_a_field_brings_what_its_control_needs(app: Flask) -> None:
    form = form_of(Order, name="Tea", size="large")

    assert form.name.attrs == {"maxlength": 10, "required": True}
    assert (form.name.label.text, form.name.description) == ("Name", "What it is called.")
    assert form.pieces.attrs == {"min": 1, "max": 6000, "inputmode": "numeric"}
    assert form.size.choices == [("small", "Small"), ("large", "Large")]
    assert [field.kind for field in form] == [
        "text",
        "number",
        "decimal",
        "check",
        "select",
        "checks",
        "area",
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,000", "1000"),
        ("1,234,567.5", "1234567.5"),
        ("1.234,50", "1234.50"),
        ("1 234,5", "1234.5"),
        ("1'234.5", "1234.5"),
        ("3,5", "3.5"),
        ("-2", "-2"),
        ("a few", "afew"),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, number: str) -> None:
    assert number_of(text) == number


def test_pointers_lead_into_what_was_sent() -> None:
    class Line(Draft):
        amount: int = Field(title="Amount", ge=1)

    class Bill(Draft):
        lines: list[Line] = Field(title="Lines", max_length=3)

    with pytest.raises(Invalid) as caught:
        validated(Bill, {"lines": [{"amount": 1}, {"amount": 0}, {}]})

    assert [(e.pointer, e.detail) for e in caught.value.errors] == [
        ("/lines/1/amount", "Amount, entry 2 must be 1 or more."),
        ("/lines/2/amount", "Enter amount, entry 3."),
    ]


def test_a_character_that_no_database_keeps_is_refused() -> None:
    with pytest.raises(Invalid):
        validated(Order, {"name": "a\0b"})
