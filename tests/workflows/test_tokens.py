from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.workflows.adjusting import PHRASES, understood
from webapp.workflows.tokens import Choice, Group, Names

NAMES = Names(
    [
        Group("Start", (Choice(("start", "who"), "Who"), Choice(("start", "all"), "All"))),
        Group("Make a text", (Choice(("s_1", "text"), "Text"),)),
        Group("Make a text", (Choice(("s_2", "text"), "Text"),)),
    ],
    {"start": "Start", "s_1": "Make a text", "s_2": "Make a text", "s_9": "Old: | [step]"},
)


def test_a_value_reads_as_its_name_and_back() -> None:
    value = [{"text": "Dear "}, {"value": ["start", "who"]}, {"text": "!"}]

    assert NAMES.show(value) == "Dear [[Start: Who]]!"
    assert NAMES.read("Dear [[Start: Who]]!") == value


def test_two_steps_of_one_name_are_told_apart() -> None:
    first, second = [{"value": ["s_1", "text"]}], [{"value": ["s_2", "text"]}]

    assert NAMES.show(first) != NAMES.show(second)
    assert NAMES.read(NAMES.show(second)) == second


def test_what_lies_inside_a_value_is_named_behind_it() -> None:
    assert NAMES.read("[[Start: All: first: name]]") == [{"value": ["start", "all", 0, "name"]}]


def test_a_reference_that_cannot_be_seen_comes_back_as_it_was() -> None:
    value = [{"text": "a "}, {"value": ["s_9", "x|y", 3]}]

    assert NAMES.read(NAMES.show(value)) == value


@pytest.mark.parametrize("text", ["[[Start: Nobody]]", "[[1, 2], [3]]", "[[]]", "[[a", "]]"])
def test_what_is_no_name_stays_text(text: str) -> None:
    assert NAMES.read(text) == text


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.do)
def test_every_phrase_that_is_offered_is_understood(phrase: Any) -> None:
    part = understood([phrase.example])

    assert part is not None
    assert part["adjust"][0]["do"] == phrase.do
    assert phrase.say(part["adjust"][0]) == phrase.example


REFS = st.sampled_from([["start", "who"], ["s_1", "text"], ["s_9", "a"], ["now", "today"]])
EMPTY = st.just({}) | st.sampled_from([{"if_empty": "no"}, {"if_empty": {"do": "stop"}}])
PARTS = st.builds(lambda ref, empty: {"value": ref, **empty}, REFS, EMPTY) | st.builds(
    lambda text: {"text": text}, st.text(st.characters(exclude_characters="[]\r"), min_size=1)
)


@given(st.lists(PARTS, min_size=1, max_size=5))
def test_any_value_comes_back_from_its_field_unchanged(value: list[Any]) -> None:
    names = Names(NAMES.groups, NAMES.titles)

    assert names.read(names.show(value), value) == value
