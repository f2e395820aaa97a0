from __future__ import annotations

from copy import deepcopy

from tests.workflows.plans import WHO, branching, plan_of, text
from webapp.workflows.comparing import differences


def said(old: object, new: object) -> list[str]:
    return [f"{d.mark}: {d.text}" for d in differences(old, new)]  # type: ignore[arg-type]


def test_equal_plans_differ_in_nothing() -> None:
    assert said(plan_of(text("s_1")), plan_of(text("s_1"))) == []


def test_against_nothing_everything_is_added() -> None:
    plan = plan_of(text("s_1", name="Greeting"), inputs=[WHO])

    assert said(None, plan) == [
        "added: Question “Who”",
        "added: Step 1 “Greeting”, Make a text",
    ]


def test_only_the_step_that_was_moved_is_said_to_be_moved() -> None:
    old = plan_of(*(text(f"s_{n}", name=f"Number {n}") for n in range(1, 6)))
    new = deepcopy(old)
    new["steps"].append(new["steps"].pop(0))

    assert said(old, new) == ["moved: Step 5 “Number 1”"]


def test_a_step_moved_into_a_branch_is_moved_and_its_values_keep_their_names() -> None:
    old = plan_of(text("s_1", name="A"), branching("s_2", [], []), inputs=[WHO])
    new = plan_of(branching("s_2", [text("s_1", name="A")], []), inputs=[WHO])

    assert said(old, new) == ["moved: Step 2 “A”"]


def test_a_changed_setting_is_shown_before_and_after() -> None:
    old = plan_of(text("s_1", [{"text": "Dear "}, {"value": ["start", "who"]}]), inputs=[WHO])
    new = plan_of(text("s_1", "Dear all"), inputs=[WHO])

    [difference] = differences(old, new)

    assert (difference.before, difference.after) == ("Dear (Who)", "Dear all")


def test_removed_steps_are_named() -> None:
    assert said(plan_of(text("s_1", name="A")), plan_of()) == ["removed: “A”, Make a text"]


def test_a_limit_is_said_as_people_read_it() -> None:
    new = plan_of(text("s_1"), limits={"seconds": 600, "steps": 20_000})

    found = {d.text: (d.before, d.after) for d in differences(plan_of(text("s_1")), new)}

    assert found == {
        "Limit of the run: working time": ("1 hour", "10 minutes"),
        "Limit of the run: number of steps": ("10,000", "20,000"),
    }


def test_another_workflow_is_called_by_its_name() -> None:
    old, new = (
        plan_of({"id": "s_1", "kind": "workflow", "with": {"workflow": f"wf_{n}"}}) for n in "ab"
    )

    [difference] = differences(old, new, {"wf_a": "Overdue invoices"})

    assert (difference.before, difference.after) == ("Overdue invoices", "wf_b")
