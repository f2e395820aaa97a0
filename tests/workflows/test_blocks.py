from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.plans import branching, plan_of, text
from webapp.kernel.errors import Invalid, NotFound
from webapp.workflows import blocks, changes
from webapp.workflows.blocks import Slot


def ids(doc: blocks.Doc) -> list[str]:
    return [f"{place.slot}={place.step['id']}" for place in blocks.places(doc)]


def house() -> blocks.Doc:
    return plan_of(text("s_1"), branching("s_2", [text("s_3"), text("s_4")], []), text("s_5"))


def test_every_step_has_a_slot_that_leads_to_it() -> None:
    assert ids(house()) == [
        "root::0=s_1",
        "root::1=s_2",
        "s_2:yes:0=s_3",
        "s_2:yes:1=s_4",
        "root::2=s_5",
    ]


def test_a_step_moved_down_in_its_block_lands_where_the_slot_said() -> None:
    doc = house()

    blocks.move(doc, "s_1", Slot.parse("root::3"))

    assert [step["id"] for step in doc["steps"]] == ["s_2", "s_5", "s_1"]


def test_a_step_moves_into_a_branch_and_out_again() -> None:
    doc = house()

    blocks.move(doc, "s_1", Slot.parse("s_2:otherwise:0"))
    assert "s_2:otherwise:0=s_1" in ids(doc)
    blocks.move(doc, "s_1", Slot.parse("root::0"))

    assert ids(doc) == ids(house())


def test_a_step_cannot_move_into_itself() -> None:
    with pytest.raises(Invalid):
        blocks.move(house(), "s_2", Slot.parse("s_2:yes:0"))


def test_a_slot_that_is_gone_says_so() -> None:
    for slot in ("s_9::0", "s_1:yes:0", "s_2:nowhere:0", "rubbish", "root::-1"):
        with pytest.raises(Invalid):
            blocks.insert(house(), Slot.parse(slot), text("s_9"))


def test_a_step_that_is_gone_is_not_found() -> None:
    with pytest.raises(NotFound):
        blocks.remove(house(), "s_9")


def test_a_copy_has_new_ids_and_refers_to_its_own_steps() -> None:
    inner = text("s_4", [{"value": ["s_3", "text"]}, {"value": ["s_1", "text"]}])
    step = branching("s_2", [text("s_3"), inner], [])

    copied = blocks.copy_of(step, iter(["s_7", "s_8", "s_9"]))

    assert copied["id"] == "s_7"
    assert copied["with"]["branches"][0]["steps"][1]["with"]["text"] == [
        {"value": ["s_8", "text"]},
        {"value": ["s_1", "text"]},
    ]
    assert step["id"] == "s_2"


json = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.lists(json, max_size=4), st.lists(json, max_size=4))
def test_a_change_can_be_undone_and_done_again(before: object, after: object) -> None:
    was, became = changes.between(before, after)

    assert changes.applied(before, was, became) == after
    assert changes.applied(after, became, was) == before


def test_a_change_of_one_step_keeps_only_that_part() -> None:
    before = house()
    after = deepcopy(before)
    after["steps"][1]["with"]["branches"][0]["steps"][0]["with"]["text"] = "Bye."

    was, became = changes.between(before, after)

    assert (was["value"], became["value"]) == ("Hello.", "Bye.")
