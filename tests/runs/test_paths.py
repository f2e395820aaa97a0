"""Where steps stand in the journal, and what a page shows of them."""

from __future__ import annotations

from typing import Any

from tests.workflows.plans import branching, plan_of, text
from webapp.engine.plan import load_plan
from webapp.runs.labels import item_label, labels_of
from webapp.runs.paths import MOST_PATHS, Places, element_id, item_of, outermost


def each(step_id: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"id": step_id, "kind": "each", "with": {"list": {"list": [1]}, "steps": list(steps)}}


PLAN = plan_of(
    text("s_1"),
    branching("s_2", [text("s_3")], [text("s_4")]),
    each("s_5", text("s_6"), each("s_7", text("s_8"))),
    {**text("s_9"), "on_failure": {"do": "branch", "steps": [text("s_10")]}},
)
PLACES = Places(load_plan(PLAN))


def test_a_step_is_found_at_its_path_only() -> None:
    for path in ("s_1", "s_2:yes/s_3", "s_2:otherwise/s_4", "s_5[3]/s_7[0]/s_8", "s_9!/s_10"):
        step = PLACES.step_at(path)
        assert step is not None
        assert step.id == path.rpartition("/")[2]
    for path in ("", "s_3", "s_99", "s_2:no/s_3", "s_5/s_6", "s_5[x]/s_6", "s_1/s_3", "s_5[3]"):
        assert PLACES.step_at(path) is None


def test_a_step_sees_others_in_its_own_items() -> None:
    here = "s_5[3]/s_7[12]/s_8"

    assert PLACES.paths_of("s_1", here) == ["s_1"]
    assert PLACES.paths_of("s_6", here) == ["s_5[3]/s_6"]
    assert PLACES.paths_of("s_7", here) == ["s_5[3]/s_7"]
    assert PLACES.paths_of("s_6", "s_1") == []
    assert (item_of(here, "s_5"), item_of(here, "s_5[3]/s_7"), item_of(here, "s_1")) == (
        3,
        12,
        None,
    )


def test_a_page_shows_the_plan_and_the_first_items() -> None:
    shown = PLACES.shown("s_5[400]/s_6")

    assert {"s_1", "s_2:yes/s_3", "s_5", "s_5[0]/s_6", "s_5[19]/s_7", "s_9!/s_10"} <= set(shown)
    assert {"s_5[400]/s_6", "s_5[400]/s_7"} <= set(shown)
    assert "s_5[20]/s_6" not in shown
    assert len(shown) == len(set(shown))


def test_a_page_stays_small_whatever_the_plan_is() -> None:
    many = [each(f"s_e{n}", *[text(f"s_{n}x{m}") for m in range(20)]) for n in range(20)]

    assert len(Places(load_plan(plan_of(*many))).shown()) == MOST_PATHS


def test_ids_of_elements_are_plain_and_differ() -> None:
    paths = ["s_1", "s_2:a/s_3", "s_2[1]/s_3", "s_2[11]/s_3", "s_2!/s_3", "s_2#1/s_3"]
    ids = [element_id(path) for path in paths]

    assert len(set(ids)) == len(ids)
    assert all(letter.isalnum() or letter in "-_" for one in ids for letter in one)
    assert {outermost(path) for path in paths[1:]} == {"s_2"}


def test_items_are_called_by_their_first_text() -> None:
    items = ["Weber KG", {"n": 1, "name": "Müller  GmbH"}, 7, {"n": 1}, None, "x" * 80]
    labels = labels_of(items)

    assert labels[:3] == ["Weber KG", "Müller GmbH", "7"]
    assert [item_label(labels, n) for n in (3, 4, 6)] == ["Item 4", "Item 5", "Item 7"]
    assert len(labels[5]) == 60
    assert labels_of("no list") == []
