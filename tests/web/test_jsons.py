"""Hostile and sloppy JSON: a clear sentence for each, never a 500."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.fixtures import Program, body
from webapp.kernel import drafts
from webapp.kernel.errors import BadRequest
from webapp.web import jsons

REFUSED = {
    "a byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": ('{"name":"x"}'.encode("utf-16"), "byte order mark"),
    "Latin-1": ('{"name":"é"}'.encode("latin-1"), "not UTF-8"),
    "nothing": (b"", "empty"),
    "blanks": (b"  \n ", "empty"),
    "half an object": (b'{"name":', "not JSON"),
    "two objects": (b"{}{}", "not JSON"),
    "a trailing comma": (b'{"name":"x",}', "not JSON"),
    "single quotes": (b"{'name':'x'}", "not JSON"),
    "a comment": (b'{/* */"name":"x"}', "not JSON"),
    "NaN": (b'{"name":"x","count":NaN}', "NaN is not"),
    "Infinity": (b'{"name":"x","count":-Infinity}', "-Infinity is not"),
    "a list": (b"[]", "one JSON object"),
    "a text": (b'"x"', "one JSON object"),
    "null": (b"null", "one JSON object"),
    "a key twice": (b'{"name":"x","name":"y"}', "“name” is there twice"),
    "a key twice inside": (b'{"name":"x","inner":{"a":1,"a":2}}', "“a” is there twice"),
    "65 levels": (b'{"name":"x","inner":{"a":' + b"[" * 70 + b"]" * 70 + b"}}", "deeper than 64"),
    "100,000 levels": (b'{"inner":' + b"[" * 100_000, "deeper than 64"),
    "a number of 65 bits": (b'{"name":"x","count":36893488147419103232}', "64 bits"),
    "a number of 5,000 digits": (b'{"name":"x","count":' + b"9" * 5000 + b"}", "64 bits"),
    "a huge exponent": (b'{"name":"x","inner":{"a":1e999999999}}', "too long or too large"),
    "NUL": (b'{"name":"a\\u0000b"}', "NUL"),
    "NUL in a key": (b'{"name":"x","inner":{"a\\u0000":1}}', "NUL"),
    "half a surrogate": (b'{"name":"\\ud800"}', "surrogate"),
    "a raw control character": (b'{"name":"a\x01b"}', "not JSON"),
    "raw NUL": (b'{"name":"a\x00b"}', "not JSON"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_body_that_readers_could_read_differently_is_refused(program: Program, kind: str) -> None:
    sent, reason = REFUSED[kind]
    answer = program.post("/api/v1/probe", data=sent, content_type="application/json")

    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"
    assert body(answer)["code"] == "E-JSON"
    assert reason in body(answer)["detail"]


def test_64_levels_are_read() -> None:
    assert jsons.read(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}")


def test_brackets_inside_texts_are_no_levels() -> None:
    assert jsons.read(b'{"a":"' + b"[" * 5000 + b'"}') == {"a": "[" * 5000}


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert jsons.read(b'{"a":"\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}


def test_an_escaped_backslash_before_u0000_is_a_text() -> None:
    assert jsons.read(b'{"a":"\\\\u0000"}') == {"a": "\\u0000"}


@pytest.mark.parametrize("digits", ["1e400", "-1e500", "1e-401", "1" * 65 + ".5"])
def test_numbers_beyond_reason_are_refused(digits: str) -> None:
    with pytest.raises(BadRequest):
        jsons.load(digits)


def test_decimals_go_round_exactly(program: Program) -> None:
    sent = (
        b'{"name":"x","inner":{"a":0.1,"b":1.10,"c":12345678901234567890.123456789,"d":[1,-0.0]}}'
    )
    answer = program.post("/api/v1/probe/echo", data=sent, content_type="application/json")

    assert answer.data == b'{"inner":' + sent.split(b'"inner":')[1]
    assert jsons.load("0.10") == Decimal("0.10")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "text/html"]
)
def test_a_body_that_is_not_called_json_is_refused(program: Program, kind: str) -> None:
    answer = program.post("/api/v1/probe", data=b'{"name":"x"}', content_type=kind)

    assert (answer.status_code, body(answer)["code"]) == (415, "E-JSON-TYPE")


def test_more_than_a_megabyte_is_refused(program: Program) -> None:
    sent = b'{"name":"' + b"x" * (1024 * 1024) + b'"}'
    answer = program.post("/api/v1/probe", data=sent, content_type="application/json")

    assert (answer.status_code, body(answer)["code"]) == (413, "E-TOO-LARGE")
    assert body(answer)["detail"] == "It may have at most 1 MB."


def test_each_wrong_field_has_its_sentence(program: Program) -> None:
    answer = program.post("/api/v1/probe", json={"count": "many", "owner": True})

    assert answer.status_code == 422
    assert body(answer)["errors"] == [
        {"pointer": "/name", "code": "E-FIELD-EMPTY", "detail": "Enter name."},
        {
            "pointer": "/count",
            "code": "E-FIELD-TYPE",
            "detail": "Count must be a whole number.",
        },
        {
            "pointer": "/owner",
            "code": "E-FIELD-UNKNOWN",
            "detail": "Remove “owner”. Known fields are: name, count, inner.",
        },
    ]


def test_a_service_says_what_is_wrong_the_same_way(program: Program) -> None:
    answer = program.post("/api/v1/probe", json={"name": "taken"})

    assert answer.status_code == 422
    assert body(answer)["errors"][0]["pointer"] == "/name"
    assert "Choose another name." in body(answer)["errors"][0]["detail"]


def test_thousands_of_unknown_fields_cost_a_few_sentences(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    worded = []
    word = drafts._worded
    monkeypatch.setattr(drafts, "_worded", lambda *given: worded.append(1) or word(*given))

    answer = program.post("/api/v1/probe", json={f"field_{n}": n for n in range(30_000)})

    assert answer.status_code == 422
    told = [one["detail"] for one in body(answer)["errors"]]
    assert told[-1] == "There are 29,980 more fields that are not known."
    assert any("field_19" in text for text in told)
    assert any("Enter" in text for text in told)  # what is missing is still told
    assert len(worded) < 30
    assert len(answer.data) < 10_000
