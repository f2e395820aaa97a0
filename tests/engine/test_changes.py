"""People ask for changes: the steps before them are done again, in rounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engine.drives import Doc, each, http, plan_of, run, text
from tests.engine.families import Family
from tests.engine.worlds import NOW
from webapp.engine.canonical import to_bytes
from webapp.engine.checks import check
from webapp.engine.commands import Start
from webapp.engine.journal import End, Park, Record
from webapp.engine.mailbox import Arrival, Mailbox, frozen_of
from webapp.engine.plan import Plan, load_plan
from webapp.engine.reuse import comes_before
from webapp.engine.scheduler import Scheduler
from webapp.engine.steps.approval import seal_of
from webapp.engine.testing import FakeHttp, MemoryJournal, ScriptedModels, fake_ports
from webapp.engine.testing import answered as reply_with

NOTE = "Shorter, please."


def ask(step_id: str = "s_2", back_to: str | None = "s_1", **settings: Any) -> Doc:
    common = {key: settings.pop(key) for key in ("on_failure",) if key in settings}
    given = {"who": [{"starter": True}], **settings}
    if back_to is not None:
        given["back_to"] = back_to
    return {"id": step_id, "kind": "approval", "with": given, **common}


def agent(step_id: str = "s_1") -> Doc:
    inline = {"instructions": "Write.", "model": "practice"}
    return {"id": step_id, "kind": "agent", "with": {"inline": inline, "message": "A letter."}}


def result_of(*names: tuple[str, list[Any]]) -> list[Doc]:
    return [{"name": name, "value": [{"value": ref}]} for name, ref in names]


def answered(plan: Plan, journal: MemoryJournal, *decisions: str, ports: Any = None) -> Any:
    """Drive the run again and again, one answer each time somebody is asked; the last end."""
    ports = ports or fake_ports()
    end = run(plan, journal, ports)
    for decision in decisions:
        assert isinstance(end, Park), end
        [row] = [r for r in journal.rows.values() if r.state == "waiting"]
        mailbox = Mailbox()
        said = {
            "decision": decision, "seal": seal_of(frozen_of(row)["approval"]), "by": "Ada",
            "at": "2026-03-03T15:00:00+00:00", "note": NOTE if decision != "approve" else None,
            "values": {}, "answers": {},
        }  # fmt: skip
        mailbox.put([Arrival("a", "approval", row.path, said)])
        end = run(plan, journal, ports, mailbox=mailbox)
    return end


def asked_at(journal: MemoryJournal, path: str) -> Any:
    found = frozen_of(journal.rows[(path, 1)])
    return found["approval"]


def test_the_agent_hears_what_is_to_be_changed_about_its_last_answer() -> None:
    models = ScriptedModels(["Dear Ada, how are you?", "Dear Ada."])
    plan = plan_of(agent(), ask(), result=result_of(("sent", ["s_1", "text"])))
    journal = MemoryJournal()

    end = answered(plan, journal, "changes", "approve", ports=fake_ports(models=models))

    assert end == End("done", result={"sent": "Dear Ada."})
    told = json.loads(journal.rows[("s_2#2/s_1", 1)].request or b"")["message"]
    assert told.startswith("A letter.\n\nRound 2: ")
    assert "Your last answer:\nDear Ada, how are you?\n" in told
    assert f"What is to be changed:\n{NOTE}\n" in told
    assert sorted(journal.states()) == ["s_1", "s_2", "s_2#2/s_1", "s_2#2/s_2"]


TRUE = {"all": [{"value": [{"text": "a"}], "is": "equal", "to": "a"}]}
BLOCKS = {
    "each": (each("s_1", [1, 2], agent("s_5")), ["s_1[0]/s_5", "s_1[1]/s_5"]),
    "parallel": (
        {"id": "s_1", "kind": "parallel",
         "with": {"lanes": [{"id": "a", "steps": [agent("s_5")]},
                            {"id": "b", "steps": [text("s_6", "x")]}]}},
        ["s_1:a/s_5"],
    ),
    "repeat": (
        {"id": "s_1", "kind": "repeat",
         "with": {"until": TRUE, "most": 1, "steps": [agent("s_5")]}},
        ["s_1#1/s_5"],
    ),
    "each in an if": (
        {"id": "s_1", "kind": "if",
         "with": {"branches": [{"id": "a", "when": TRUE,
                                "steps": [each("s_4", [1], agent("s_5"))]}]}},
        ["s_1:a/s_4[0]/s_5"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BLOCKS)
def test_agents_inside_the_step_gone_back_to_hear_the_note(kind: str) -> None:
    block, agents = BLOCKS[kind]
    models = ScriptedModels([f"Draft {n}." for n in range(9)])
    journal = MemoryJournal()

    end = answered(
        plan_of(block, ask()), journal, "changes", "approve", ports=fake_ports(models=models)
    )

    assert isinstance(end, End)
    assert end.state == "done", end.error
    for path in agents:
        first, second = (
            json.loads(journal.rows[(at, 1)].request or b"")["message"]
            for at in (path, f"s_2#2/{path}")
        )
        assert first == "A letter."
        assert second.startswith("A letter.\n\nRound 2: a person has read what came of this")
        assert f"What is to be changed:\n{NOTE}\n" in second


def test_agents_in_the_parts_of_a_long_list_hear_it_too() -> None:
    family = Family(plan_of(each("s_1", [1, 2], agent("s_5")), ask()), split=1)
    parts = {name: f"run_1/{name}" for name in ("s_1[0-0]", "s_2#2/s_1[1-1]")}

    def work() -> None:
        for _ in range(20):
            for member in list(family.members.values()):
                if not member.is_over:
                    family.live(member)

    work()
    [row] = [one for one in family.root.journal.rows.values() if one.kind == "approval"]
    said = {
        "decision": "changes", "seal": seal_of(frozen_of(row)["approval"]), "by": "Ada",
        "at": "2026-03-03T15:00:00+00:00", "note": NOTE, "values": {}, "answers": {},
    }  # fmt: skip
    family.root.arrivals.append(Arrival("a", "approval", row.path, said))
    work()

    first, second = (
        json.loads(family.members[parts[at]].journal.rows[(path, 1)].request or b"")["message"]
        for at, path in zip(parts, ("s_1[0]/s_5", "s_2#2/s_1[1]/s_5"), strict=True)
    )
    assert (NOTE in first, NOTE in second) == (False, True)


def test_an_approval_inside_the_step_gone_back_to_counts_its_own_rounds() -> None:
    inner = ask("s_6", "s_5", rounds=2)
    plan = plan_of(each("s_1", [1], agent("s_5"), inner), ask())
    journal, models = MemoryJournal(), ScriptedModels([f"Draft {n}." for n in range(9)])

    answered(plan, journal, "approve", "changes", ports=fake_ports(models=models))

    again = asked_at(journal, "s_2#2/s_1[0]/s_6")
    assert (again["round"], again["before"]) == (1, [])


def test_each_round_has_its_number_and_knows_what_was_said_before() -> None:
    plan = plan_of(text("s_1", "a"), ask(), result=result_of(("round", ["s_2", "round"])))
    journal = MemoryJournal()

    end = answered(plan, journal, "changes", "changes", "approve")

    assert end == End("done", result={"round": 3})
    third = asked_at(journal, "s_2#3/s_2")
    assert (third["round"], third["rounds"]) == (3, 3)
    assert [(one["round"], one["by"], one["note"]) for one in third["before"]] == [
        (1, "Ada", NOTE), (2, "Ada", NOTE),
    ]  # fmt: skip
    assert asked_at(journal, "s_2")["before"] == []


def test_when_the_rounds_are_used_up_the_step_fails_and_says_so() -> None:
    plan = plan_of(text("s_1", "a"), ask(rounds=2))

    end = answered(plan, MemoryJournal(), "changes", "changes")

    assert isinstance(end, End)
    assert (end.error or {})["code"] == "E-CHANGES"
    assert (end.error or {})["text"] == (
        "Ada asked for changes in the last of 2 rounds, so nothing was done again: Shorter, please."
    )
    assert (end.error or {})["path"] == "s_2#2/s_2"


def test_when_the_rounds_are_used_up_the_run_may_go_on() -> None:
    plan = plan_of(
        text("s_1", "a"), ask(rounds=2, refusal="continue"), text("s_3", "b"),
        result=result_of(("said", ["s_2", "decision"]), ("then", ["s_3", "text"])),
    )  # fmt: skip

    end = answered(plan, MemoryJournal(), "changes", "changes")

    assert end == End("done", result={"said": "changes", "then": "b"})


def test_a_rejection_goes_back_nowhere() -> None:
    end = answered(plan_of(text("s_1", "a"), ask()), MemoryJournal(), "reject")

    assert isinstance(end, End)
    assert (end.error or {})["code"] == "E-REJECTED"


def test_a_failure_in_a_round_is_the_failure_of_that_step() -> None:
    ask_twice = ask(rounds=2, on_failure={"do": "continue"})
    plan = plan_of(
        text("s_1", "a"), ask_twice, text("s_3", "b"), result=result_of(("f", ["s_2", "failed"]))
    )

    end = answered(plan, MemoryJournal(), "changes", "changes")

    assert end == End("done", result={"f": True}, problems=True)


def test_what_another_branch_gave_in_an_earlier_round_is_empty_again() -> None:
    when = {"all": [{"value": [{"value": ["s_1", "status"]}], "is": "equal", "to": 200}]}
    branch = {
        "id": "s_2", "kind": "if",
        "with": {"branches": [{"id": "yes", "when": when, "steps": [text("s_3", "first")]}],
                 "otherwise": [text("s_4", "second")]},
    }  # fmt: skip
    replies = iter([200, 201])

    async def reply(method: str, url: str) -> Any:
        return reply_with("ok", next(replies))

    plan = plan_of(
        http("s_1"), branch, ask("s_6"),
        result=result_of(("a", ["s_3", "text"]), ("b", ["s_4", "text"])),
    )  # fmt: skip

    journal = MemoryJournal()
    end = answered(plan, journal, "changes", "approve", ports=fake_ports(FakeHttp(reply)))

    assert end == End("done", result={"a": None, "b": "second"})
    journal.end = None
    assert run(plan, journal) == end


def test_rounds_lie_in_rounds_and_in_items() -> None:
    inner = ask("s_2", "s_1"), text("s_3", "b"), ask("s_4", "s_1")
    plan = plan_of(each("s_9", [1], text("s_1", "a"), *inner))
    journal = MemoryJournal()

    end = answered(plan, journal, "approve", "changes", "changes", "approve", "approve")

    assert end == End("done", result={})
    assert [path for path in journal.states() if path.endswith(("s_2", "s_4"))] == [
        "s_9[0]/s_2",
        "s_9[0]/s_4",
        "s_9[0]/s_4#2/s_2",
        "s_9[0]/s_4#2/s_2#2/s_2",
        "s_9[0]/s_4#2/s_4",
    ]


def test_the_newest_round_is_seen_from_behind_a_finished_branch_that_is_replayed() -> None:
    when = {"all": [{"value": 1, "is": "equal", "to": 1}]}
    models = ScriptedModels(["long", "short"])
    branch = {"id": "yes", "when": when, "steps": [agent(), ask()]}
    plan = plan_of(
        {"id": "s_5", "kind": "if", "with": {"branches": [branch], "otherwise": []}},
        {"id": "s_6", "kind": "wait", "with": {"for_s": 60}},
        result=result_of(("sent", ["s_1", "text"]), ("round", ["s_2", "round"])),
    )
    journal = MemoryJournal()
    end = answered(plan, journal, "changes", "approve", ports=fake_ports(models=models))
    assert isinstance(end, Park)
    for row in journal.rows.values():
        if row.kind == "wait":
            row.state, row.result = "succeeded", {"at": "now"}

    assert run(plan, journal) == End("done", result={"sent": "short", "round": 2})


@pytest.mark.parametrize(
    ("path", "start", "expected"),
    [
        ("s_1", "s_2", True),
        ("s_2", "s_2", False),
        ("s_2#2/s_1", "s_2", False),
        ("s_2#2/s_1", "s_1", False),
        ("s_2#2/s_2", "s_3", True),
        ("s_1", "s_2#2/s_1", True),
        ("s_2", "s_2#2/s_1", True),
        ("s_2#2/s_1", "s_2#2/s_2", True),
        ("s_2#2/s_2", "s_2#3/s_1", True),
        ("s_2#3/s_1", "s_2#2/s_2", False),
    ],
)
def test_what_a_run_that_begins_again_keeps_of_rounds(
    path: str, start: str, expected: bool
) -> None:
    plan = plan_of(text("s_1", "a"), ask(), text("s_3", "b"))

    assert comes_before(plan, path, start) is expected


def found(*steps: Doc) -> list[tuple[str, str, str]]:
    checks = check(load_plan({"plan": 1, "steps": list(steps)}, "draft"))
    return [(one.kind, one.step, one.code) for one in checks]


def test_it_goes_back_to_an_earlier_step_of_the_same_block_only() -> None:
    inside = each("s_1", [1], agent("s_5"))

    assert found(agent(), ask()) == []
    assert ("broken", "s_2", "C-BACK-LATER") in found(ask("s_2", "s_3"), agent("s_3"))
    assert ("broken", "s_2", "C-BACK-LATER") in found(inside, ask("s_2", "s_5"))
    assert ("broken", "s_2", "C-BACK-LATER") in found(ask("s_2", "s_2"))
    assert ("broken", "s_2", "C-BACK-GONE") in found(ask("s_2", "s_77"))


def test_it_is_said_who_does_not_read_the_note_and_what_is_sent_again() -> None:
    send = http("s_3", method="POST")

    assert ("look", "s_2", "C-BACK-NO-AGENT") in found(text("s_1", "a"), ask())
    assert ("look", "s_2", "C-BACK-NO-AGENT") not in found(each("s_1", [1], agent("s_5")), ask())
    assert ("look", "s_2", "C-BACK-SENDS") in found(agent(), send, ask())
    assert ("look", "s_2", "C-BACK-SENDS") not in found(send, agent(), ask())


def test_rounds_lie_in_each_other_only_so_deep() -> None:
    asks = [ask(f"s_{n}") for n in range(2, 7)]

    assert ("todo", "s_2", "C-DEPTH") in found(agent(), *asks)
    assert ("todo", "s_2", "C-DEPTH") not in found(agent(), *asks[:-1])


def test_a_group_is_left_to_do_as_long_as_there_are_none() -> None:
    step = {"id": "s_1", "kind": "approval", "with": {"who": [{"group": "gr_1"}]}}

    assert found(step) == [("todo", "s_1", "C-GROUP-UNKNOWN")]


def test_it_is_passed_on_to_as_many_as_must_agree() -> None:
    ada, ben, cleo = ({"person": f"usr_{name:0>26}"} for name in ("ada", "ben", "cleo"))
    due: Doc = {"who": [ada, ben], "need": {"n": 2}, "due": {"in_s": 60}}

    too_few = ask("s_1", None, **due, at_due={"pass_to": [cleo]})
    enough = ask("s_1", None, **due, at_due={"pass_to": [{"role": "owner"}]})

    assert ("todo", "s_1", "C-NEED-MORE") in found(too_few)
    assert ("todo", "s_1", "C-NEED-MORE") not in found(enough)


def left_after(plan: Plan, *rows: tuple[str, str, int, Any]) -> int | None:
    """Return what the next step may spend of the limit around it, after a restart."""
    records = [
        Record(
            path, 1, path.rpartition("/")[2].partition("[")[0], kind, "succeeded",
            result=result, cost_nano=cost,
        )
        for path, kind, cost, result in rows
    ]  # fmt: skip
    for record in records:
        if record.kind == "http":
            record.state, record.result, record.error = "failed", None, {"code": "E", "text": ""}
        if record.kind == "each":
            record.state, record.result = "intent", None
            record.request = to_bytes({"now": dict(NOW)})
    scheduler = Scheduler(plan, {}, {"run": {"id": "run_1"}}, records)
    scheduler.set_now(NOW)
    [start] = [one for one in scheduler.begin() if isinstance(one, Start)]
    return start.meter.left_nano


def test_after_a_restart_rounds_and_failure_branches_count_once_for_a_limit_around_them() -> None:
    items = each("s_9", [1], agent(), ask()) | {"cost_usd": "0.00001"}
    branch = {"do": "branch", "steps": [agent("s_2"), agent("s_3")]}
    refused = http("s_1", cost_usd="0.00001", on_failure=branch)
    changes = {"decision": "changes", "round": 1, "note": NOTE, "by": "Ada", "at": "now"}

    in_rounds = left_after(
        plan_of(items),
        ("s_9", "each", 0, None),
        ("s_9[0]/s_1", "agent", 1_000, {"text": "a"}),
        ("s_9[0]/s_2", "approval", 0, changes),
        ("s_9[0]/s_2#2/s_1", "agent", 2_000, {"text": "b"}),
    )
    in_branch = left_after(
        plan_of(refused), ("s_1", "http", 4_000, None), ("s_1!/s_2", "agent", 3_000, {"text": "a"})
    )

    assert (in_rounds, in_branch) == (7_000, 3_000)
