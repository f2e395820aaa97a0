"""What a run that begins again from a step may take over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.drives import each, http, lanes, plan_of, text
from webapp.engine.reuse import comes_before, steps_of

PLAN = plan_of(
    text("s_1", "a"),
    lanes("s_2", [text("s_3", "b"), text("s_4", "c")], [text("s_5", "d")]),
    each("s_6", [1, 2], http("s_7"), text("s_8", "e")),
    {
        "id": "s_9",
        "kind": "repeat",
        "with": {"until": {"all": []}, "most": 3, "steps": [text("s_10", "f")]},
    },
    http("s_11", on_failure={"do": "branch", "steps": [text("s_12", "g")]}),
)


@pytest.mark.parametrize(
    ("path", "start", "expected"),
    [
        ("s_1", "s_2", True),
        ("s_2", "s_1", False),
        ("s_1", "s_1", False),
        ("s_2:l0/s_3", "s_2:l0/s_4", True),
        ("s_2:l0/s_4", "s_2:l0/s_3", False),
        ("s_2:l1/s_5", "s_2:l0/s_3", True),
        ("s_2", "s_2:l0/s_4", False),
        ("s_2:l0/s_3", "s_2", False),
        ("s_2:l0/s_3", "s_6", True),
        ("s_6[0]/s_7", "s_6[1]/s_7", True),
        ("s_6[1]/s_7", "s_6[1]/s_8", True),
        ("s_6[1]/s_8", "s_6[1]/s_7", False),
        ("s_9#1/s_10", "s_9#2/s_10", True),
        ("s_9#3/s_10", "s_9#2/s_10", False),
        ("s_9", "s_6[1]/s_8", False),
        ("s_11!/s_12", "s_11", False),
        ("s_99", "s_1", False),
    ],
)
def test_what_comes_before_a_step_by_the_plan(path: str, start: str, expected: bool) -> None:
    assert comes_before(PLAN, path, start) is expected


def test_a_lane_comes_after_the_lanes_it_needs() -> None:
    made: list[dict[str, Any]] = [
        {"id": "a", "steps": [text("s_2", "x")]},
        {"id": "b", "needs": ["a"], "steps": [text("s_3", "y")]},
        {"id": "c", "needs": ["b"], "steps": [text("s_4", "z")]},
    ]
    plan = plan_of({"id": "s_1", "kind": "parallel", "with": {"lanes": made}})

    assert not comes_before(plan, "s_1:c/s_4", "s_1:a/s_2")
    assert comes_before(plan, "s_1:a/s_2", "s_1:c/s_4")


def test_what_is_no_path_is_said_so() -> None:
    with pytest.raises(ValueError, match="no path"):
        steps_of("../s_1")
