"""Ids inside and outside are the same 128 bits."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.kernel.errors import NotFound
from webapp.kernel.ids import new_id, parse_id, public_id


@given(st.uuids())
def test_a_public_id_gives_the_same_id_back(value: UUID) -> None:
    assert parse_id("run", public_id("run", value)) == value


@given(st.uuids(), st.uuids())
def test_public_ids_sort_as_the_ids_do(one: UUID, other: UUID) -> None:
    assert (public_id("run", one) < public_id("run", other)) == (one < other)


def test_ids_grow_even_within_one_millisecond() -> None:
    made = [new_id() for _ in range(20_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {value.version for value in made} == {7}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "run_",
        "run",
        "wf_0000000000000000000000000a",
        "run_0000000000000000000000000",
        "run_00000000000000000000000000a",
        "run_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "run_0000000000000000000000000u",
        "run_0000000000000000000000000A",
        "run_0000000000000000000000000é",
    ],
)
def test_what_is_no_id_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        parse_id("run", text)
