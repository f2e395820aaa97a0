"""Plans of every format there ever was are read for ever, and written in JSON and YAML alike."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.worlds import _Author
from webapp.engine.plan import PlanTooNew, load_plan, plan_sha
from webapp.engine.plan_readers import READERS
from webapp.engine.steps import KINDS
from webapp.kernel import jsons, yamls

FORMATS = Path(__file__).parent / "formats"
SHA = {1: "9849e6b586bdc1cfa27105f20006b898d6a87793e85fc1f47c1884e0e372fb31"}
"""Of the kept plan of each format: neither the file nor what makes the hash may change."""


@pytest.mark.parametrize("number", READERS)
def test_a_plan_kept_from_the_time_of_each_format_is_read_for_ever(number: int) -> None:
    document = jsons.loads((FORMATS / f"{number}.json").read_text())

    plan = load_plan(document, "live")

    assert plan_sha(document) == SHA[number]
    assert {step.kind for step in plan.walk()} == set(KINDS)
    assert all(step.config is not None for step in plan.walk())


def test_a_format_that_comes_later_is_not_taken_for_a_wrong_plan() -> None:
    for number in (max(READERS) + 1, 10**6):
        with pytest.raises(PlanTooNew):
            load_plan({"plan": number, "what": "we cannot know"}, "live")


def a_plan(seed: int, words: list[Any]) -> dict[str, Any]:
    """Return a random plan in which the texts of steps are `words`, which a writer may spoil."""
    document: dict[str, Any] = _Author(seed, 12, racy=True).plan()
    waiting: list[Any] = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if one.get("kind") == "text" and words:
                one["with"]["text"] = {"record": {"a": {"list": words}}}
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return document


WORDS = st.lists(
    st.one_of(
        st.sampled_from(["no", "2026-03-04", "1e3", "0o7", "", " a", "a\n b\n", "#", "null", "\t"]),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
        st.integers(-(2**63), 2**63 - 1),
        st.decimals("-1e9", "1e9", places=2),
        st.booleans(),
        st.none(),
    ),
    max_size=6,
)


@given(st.integers(0, 2**32), WORDS)
@settings(max_examples=120, deadline=None)
def test_random_plans_are_written_and_read_as_the_same_plan(seed: int, words: list[Any]) -> None:
    document = a_plan(seed, words)
    plan = load_plan(document, "live")

    for read, write in ((jsons.loads, jsons.dumps), (yamls.load, yamls.dump)):
        again = read(write(document))
        assert again == document
        assert plan_sha(again) == plan_sha(document)
        assert load_plan(again, "live") == plan
        assert read(write(again)) == again


def test_a_number_keeps_all_its_digits() -> None:
    numbers = [Decimal("0.10"), Decimal("1E-9"), Decimal("12345678901234567890.12345678901234567")]
    step = {"id": "s_1", "kind": "text", "with": {"text": {"list": numbers}}}
    document = {"plan": 1, "steps": [step]}

    for read, write in ((jsons.loads, jsons.dumps), (yamls.load, yamls.dump)):
        again = read(write(document))
        assert again == document
        assert plan_sha(again) == plan_sha(document)
