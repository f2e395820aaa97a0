"""What is said of steps that run other workflows, and which values they give."""

from __future__ import annotations

from typing import Any

from tests.engine.drives import Doc, text
from tests.engine.test_plan import plan
from webapp.engine.callees import Callee, Callees
from webapp.engine.checks import check, values_at
from webapp.engine.grammar import Field
from webapp.engine.plan import load_plan

ORDERS = Callee(
    "Orders",
    inputs=(
        Field(name="who", label="Who", type="text"),
        Field(name="most", label="Most", type="number", required=False),
        Field(name="day", label="Day", type="date", default="today"),
    ),
    result=(Field(name="total", label="Total", type="number"),),
)
KNOWN: Callees = {("wf_a", "live"): ORDERS, ("wf_a", 7): Callee("Orders", lack="version")}


def run(step_id: str = "s_1", workflow: str = "wf_a", **settings: Any) -> Doc:
    return {"id": step_id, "kind": "workflow", "with": {"workflow": workflow, **settings}}


def found(*steps: Doc, callees: Callees = KNOWN) -> list[tuple[str, str, str]]:
    checks = check(load_plan(plan(*steps), "draft"), callees=callees)
    return [(one.kind, one.field, one.code) for one in checks]


def test_what_the_workflow_asks_for_must_be_given_and_nothing_else() -> None:
    assert found(run(inputs={"who": "Ada"})) == []
    assert found(run(inputs={"who": ""})) == [("todo", "with.inputs.who", "C-FIELD-EMPTY")]
    assert found(run()) == [("todo", "with.inputs.who", "C-FIELD-EMPTY")]
    assert found(run(inputs={"who": "Ada", "when": 1})) == [
        ("broken", "with.inputs.when", "C-REF-GONE")
    ]


def test_a_workflow_that_is_not_there_or_not_live_is_said_with_its_name() -> None:
    lost = {("wf_a", "live"): Callee(lack="workflow")}
    sleeping = {("wf_a", "live"): Callee("Orders", lack="live")}

    assert found(run(), callees=lost) == [("broken", "with.workflow", "C-WORKFLOW-UNKNOWN")]
    assert found(run(), callees=sleeping) == [("todo", "with.workflow", "C-WORKFLOW-UNKNOWN")]
    assert found(run(version=7)) == [("broken", "with.version", "C-WORKFLOW-UNKNOWN")]
    [said] = check(load_plan(plan(run()), "draft"), callees=sleeping)
    assert said.text == "Step 1: “Orders” is not live yet: put it live first"


def test_a_workflow_that_would_run_itself_is_broken_and_the_way_is_named() -> None:
    way = Callee("B", circle=("B", "C"))
    [said] = check(load_plan(plan(run()), "draft"), callees={("wf_a", "live"): way})

    assert (said.kind, said.code) == ("broken", "C-WORKFLOW-SELF")
    assert "it runs “B”, which runs “C”, which runs this workflow again" in said.text
    itself = Callee("A", circle=())
    [said] = check(load_plan(plan(run()), "draft"), callees={("wf_a", "live"): itself})
    assert "a workflow can't run itself" in said.text


def test_later_steps_see_what_the_workflow_gives_while_it_is_waited_for() -> None:
    def seen(**settings: Any) -> list[tuple[Any, str]]:
        read = load_plan(plan(run(**settings), text("s_2", "a")), "draft")
        group = values_at(read, "s_2", callees=KNOWN)[0]
        return [(value.ref, value.type) for value in group.values]

    assert seen() == [(("s_1", "total"), "number"), (("s_1", "run"), "text")]
    assert seen(wait=False) == [(("s_1", "run"), "text")]
    gone = text("s_2", [{"value": ["s_1", "sum"]}])
    assert found(run(inputs={"who": "Ada"}), gone) == [("broken", "with.text", "C-REF-GONE")]


def test_without_knowledge_of_others_a_plan_is_believed() -> None:
    use = text("s_2", [{"value": ["s_1", "whatever"]}])

    assert found(run(), use, callees={}) == []
