"""The same key and request get the first answer; the same key with anything else is refused."""

from __future__ import annotations

from io import BytesIO

from werkzeug.test import TestResponse

from tests.fixtures import Program


def upload(program: Program, content: bytes, name: str = "a.csv") -> TestResponse:
    return program.post(
        "/api/v1/files",
        data={"file": (BytesIO(content), name)},
        headers={"Idempotency-Key": "k-1"},
    )


def test_a_file_that_is_sent_twice_is_kept_once(program: Program) -> None:
    first, again = upload(program, b"a,b\n"), upload(program, b"a,b\n")

    assert first.status_code == again.status_code == 201
    assert again.get_data() == first.get_data()
    assert again.headers["Idempotency-Replayed"] == "true"


def test_another_file_under_the_same_key_is_refused(program: Program) -> None:
    upload(program, b"a,b\n")

    for other in (upload(program, b"c,d\n"), upload(program, b"a,b\n", name="b.csv")):
        assert other.status_code == 422
        assert other.get_json()["code"] == "E-IDEM-OTHER"
